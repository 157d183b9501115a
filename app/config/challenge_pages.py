"""Patterns of challenge pages: pages that ask a visitor to prove to be human, sent with status 200."""

from app.config.response_patterns import ResponsePattern, ResponsePatterns
from app.config.rules import Regex

#: What stands on the pages that ask a visitor to prove that he is no robot, and on no others behind the same
#: protection: those have its scripts too (Cloudflare's /cdn-cgi/challenge-platform/ and __CF$cv$params, Incapsula's
#: _Incapsula_Resource, DataDome's js.datadome.co/tags.js, PerimeterX' _pxAppId, AWS WAF's awswaf.com, DDoS-Guard's
#: check.js, Akamai's sensor scripts). So each of these is what is drawn for the visitor, or feeds just that.
CHALLENGE_PAGES = ResponsePatterns(
    ResponsePattern(regex=Regex(pattern))
    for pattern in (
        # Ozon: the incident's number in JSON and HTML, and the page for those without scripts. It ends its sentence
        # there; the form of a shop that asks for a sum of two numbers goes on.
        "fab_chlg_",
        r"[Mm]ake sure that you are not a robot\.?\s*(?:<|\z)",
        r"(?i)убедиться, что вы не робот\.?\s*(?:<|\z)",
        r"(?i)<title>\s*Antibot (?:Challenge|Captcha)",
        # Cloudflare: the options of its challenge's script; the titles of challenge and refusal (both also known to
        # FlareSolverr); the script's path, which has "orchestrate" where that of ordinary pages has "jsd".
        r"_cf_chl_opt\s*=",
        r"/cdn-cgi/challenge-platform/[a-z]/[a-z]/orchestrate/",
        r"(?i)<title>\s*(?:Just a moment\.\.\.|Attention Required! \| Cloudflare)\s*</title",
        # DataDome: the script and the frame of its captcha and block pages; ordinary pages load js.datadome.co.
        r"""(?:src=|["']host["']:\s*)["'](?:https://)?(?:ct|geo)\.captcha-delivery\.com""",
        # PerimeterX, now HUMAN: the element of "press and hold", and the title of that page.
        r"""id=["']px-captcha["']""",
        r"(?i)<title>\s*Access to this page has been denied",
        # Akamai: the reference's host stands as entities on the page, the word "Denied" in its title.
        r"(?is)<title>\s*Access Denied\s*</title.*errors(?:\.|&#46;)edgesuite(?:\.|&#46;)net",
        # Imperva, once Incapsula: the frame of the interstitial and what it says without frames.
        r"""_Incapsula_Resource\?[^"'<>]*[&;]incident_id=""",
        r"Incapsula incident ID:?\s*\d",
        r"(?i)<title>\s*Pardon Our Interruption",
        # AWS WAF: what its challenge and captcha pages hand to challenge.js.
        r"window\.gokuProps\s*=",
        r"window\.awsWafCookieDomainList\s*=",
        # DDoS-Guard: its title, and the scripts of its two challenges.
        r"(?i)<title>\s*DDoS-Guard\s*</title",
        r"/\.well-known/ddos-guard/(?:js-challenge|ddg-captcha-page)/",
        # Yandex: what the form of showcaptcha is sent to.
        r"""action=["'](?:https://[a-z.]+)?/(?:checkcaptcha|showcaptcha)""",
        # Amazon: the form of its captcha, in whatever language, and what stands above it.
        r"""action=["']/errors/validateCaptcha""",
        r"Type the characters you see in this image:?\s*</(?:h|p)",
        # Sucuri, Kasada, Vercel: titles and scripts of their interstitials.
        r"(?i)<title>\s*(?:Sucuri WebSite Firewall|Vercel Security Checkpoint)",
    )
)
