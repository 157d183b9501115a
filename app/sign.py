"""Signs as data: by what an origin's answer tells that it is no page of an item, but something else."""

import functools
from typing import Annotated, Self

import msgspec
import re2

from app.rule import JsonPath, Pattern, compile_pattern, parse_hook
from app.selector import Selector


class Sign(msgspec.Struct, frozen=True, cache_hash=True, forbid_unknown_fields=True):
    """Something by which an answer tells what it means: exactly one kind.

    ``status`` is an HTTP status other than 200; the others are looked for on pages: a regular expression, a CSS
    selector that matches an element, a JMESPath expression whose result is true as JMESPath has it (not false, null,
    "", [] or {}).
    """

    status: Annotated[int, msgspec.Meta(ge=201, le=999)] | None = None
    regex: Pattern | None = None
    css: Selector | None = None
    json: JsonPath | None = None

    def __post_init__(self) -> None:
        kinds = [kind for kind in SIGN_KINDS if getattr(self, kind) is not None]
        if len(kinds) != 1:
            raise ValueError(f"expected exactly one of {', '.join(SIGN_KINDS)}")
        if not getattr(self, kinds[0]):
            raise ValueError(f"expected a text behind {kinds[0]}")

    @property
    def kind(self) -> str:
        """The one of ``SIGN_KINDS`` that this sign is."""
        for kind in SIGN_KINDS:  # a generator would take four times as long, and each page asks several times
            if getattr(self, kind) is not None:
                return kind
        raise AssertionError("there is exactly one")

    def __str__(self) -> str:
        return f"{self.kind} {getattr(self, self.kind)}"


SIGN_KINDS = ("status", "regex", "css", "json")


class Signs(tuple[Sign, ...]):  # noqa: SLOT001 - it remembers its pattern
    """The signs of one meaning: in the configuration one, or an array of them; a plain text is a regex."""

    @classmethod
    def parse(cls, value: object) -> Self:
        """Read one sign or an array of them."""
        given = value if isinstance(value, list) else [value]
        if not all(isinstance(sign, str | dict) for sign in given):
            raise ValueError(f"expected a regular expression, or a table with one of {', '.join(SIGN_KINDS)}")
        tables = [{"regex": sign} if isinstance(sign, str) else sign for sign in given]
        try:
            signs = cls(msgspec.convert(tables, list[Sign], dec_hook=parse_hook))
        except msgspec.ValidationError as error:
            # What reads the configuration tells the place within a value by msgspec's words: " - at `$[0].regex`".
            raise ValueError(str(error) if given is value else str(error).replace("`$[0]", "`$", 1)) from None
        try:
            if (pattern := signs.any_regex) is not None:
                compile_pattern(pattern)
        except re2.error as error:
            raise ValueError(f"expected regular expressions that can stand side by side: {error}") from None
        return signs

    @functools.cached_property
    def any_regex(self) -> str | None:
        """One regular expression for all that there are, None for none."""
        patterns = [f"(?:{sign.regex})" for sign in self if sign.regex is not None]
        return "|".join(patterns) if patterns else None


#: What stands on the pages that ask a visitor to prove that he is no robot, and on no others behind the same
#: protection: those have its scripts too (Cloudflare's /cdn-cgi/challenge-platform/ and __CF$cv$params, Incapsula's
#: _Incapsula_Resource, DataDome's js.datadome.co/tags.js, PerimeterX' _pxAppId, AWS WAF's awswaf.com, DDoS-Guard's
#: check.js, Akamai's sensor scripts). So each of these is what is drawn for the visitor, or feeds just that.
CHALLENGES = Signs(
    Sign(regex=Pattern(pattern))
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
