"""Patterns of challenge pages: pages that ask the visitor to prove to be human, sometimes sent with status 200."""

from app.config.response_patterns import ResponsePattern, ResponsePatterns
from app.config.rules import Regex

#: Each pattern matches challenge pages, but not ordinary pages of a site with the same bot protection. Ordinary pages
#: load the vendor's scripts too (Cloudflare's /cdn-cgi/challenge-platform/ and __CF$cv$params, Incapsula's
#: _Incapsula_Resource, DataDome's js.datadome.co/tags.js, PerimeterX' _pxAppId, AWS WAF's awswaf.com, DDoS-Guard's
#: check.js, Akamai's sensor scripts). So each pattern is for text or markup that only the challenge itself has.
CHALLENGE_PAGES = ResponsePatterns(
    ResponsePattern(regex=Regex(pattern))
    for pattern in (
        # Ozon: the incident number in JSON and HTML, and the sentences shown without JavaScript. On the challenge page
        # the sentence ends after "robot"; in a shop's form that asks for the sum of two numbers it continues.
        "fab_chlg_",
        r"[Mm]ake sure that you are not a robot\.?\s*(?:<|\z)",
        r"(?i)убедиться, что вы не робот\.?\s*(?:<|\z)",
        r"(?i)<title>\s*Antibot (?:Challenge|Captcha)",
        # Cloudflare: the options of the challenge script; the script's path, which has "orchestrate" instead of the
        # "jsd" of ordinary pages; the titles of challenge and refusal (FlareSolverr looks for the same titles).
        r"_cf_chl_opt\s*=",
        r"/cdn-cgi/challenge-platform/[a-z]/[a-z]/orchestrate/",
        r"(?i)<title>\s*(?:Just a moment\.\.\.|Attention Required! \| Cloudflare)\s*</title",
        # DataDome: the script and the frame of the captcha and block pages; ordinary pages load js.datadome.co.
        r"""(?:src=|["']host["']:\s*)["'](?:https://)?(?:ct|geo)\.captcha-delivery\.com""",
        # PerimeterX, now HUMAN: the element of the "press and hold" button, and the page's title.
        r"""id=["']px-captcha["']""",
        r"(?i)<title>\s*Access to this page has been denied",
        # Akamai: the title, followed by the host of the reference link, whose dots are written as entities.
        r"(?is)<title>\s*Access Denied\s*</title.*errors(?:\.|&#46;)edgesuite(?:\.|&#46;)net",
        # Imperva, formerly Incapsula: the frame of the interstitial, its text without frames, and its title.
        r"""_Incapsula_Resource\?[^"'<>]*[&;]incident_id=""",
        r"Incapsula incident ID:?\s*\d",
        r"(?i)<title>\s*Pardon Our Interruption",
        # AWS WAF: the variables that challenge and captcha pages set for challenge.js.
        r"window\.gokuProps\s*=",
        r"window\.awsWafCookieDomainList\s*=",
        # DDoS-Guard: the title, and the scripts of both challenges.
        r"(?i)<title>\s*DDoS-Guard\s*</title",
        r"/\.well-known/ddos-guard/(?:js-challenge|ddg-captcha-page)/",
        # Yandex: the URL that the form of showcaptcha is submitted to.
        r"""action=["'](?:https://[a-z.]+)?/(?:checkcaptcha|showcaptcha)""",
        # Amazon: the form of the captcha, which is the same in every language, and the English text above it.
        r"""action=["']/errors/validateCaptcha""",
        r"Type the characters you see in this image:?\s*</(?:h|p)",
        # Sucuri, Vercel: the titles of the interstitials.
        r"(?i)<title>\s*(?:Sucuri WebSite Firewall|Vercel Security Checkpoint)",
    )
)
