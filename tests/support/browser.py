"""A browser: Debian's Chromium without a window, led by its DevTools protocol over a pair of sockets.

The protocol (https://chromedevtools.github.io/devtools-protocol/) is JSON, each message ended by a zero byte. Nothing
runs beside the test: what the page reports is read while the test asks it something.
"""

import base64
import json
import os
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from tempfile import TemporaryDirectory
from typing import Any

#: How long the browser may take for what it is asked, in seconds, and how long a page may take to become as expected.
_PATIENCE = 20.0
_PAGE_PATIENCE = 10.0

_FLAGS = (
    "--headless=new",
    "--remote-debugging-pipe",
    "--no-first-run",
    "--no-proxy-server",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-dev-shm-usage",
    "--disable-extensions",
    "--disable-gpu",
    "--disable-sync",
    "--force-color-profile=srgb",
    "--hide-scrollbars",
)

#: Keys by name: the code of the keyboard's key, its number, and the text that it types.
_KEYS = {"Enter": ("Enter", 13, "\r"), "Tab": ("Tab", 9, ""), "Escape": ("Escape", 27, ""), " ": ("Space", 32, " ")}
_MODIFIERS = {"Alt": 1, "Control": 2, "Shift": 8}

#: Answers a request, by its address and body, in its server's place: with status, type and body. None: the server may.
Interception = Callable[[str, str], tuple[int, str, str] | None]


@dataclass(slots=True)
class Page:
    """A page in a profile of its own.

    ``errors`` are what its console has to complain of, ``requests`` the addresses that it asked for. ``intercept`` may
    answer these in the place of their servers.
    """

    browser: "Browser"
    session: str
    intercept: Interception | None = None
    errors: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def open(self, url: str) -> None:
        """Go to an address."""
        answer = self.ask("Page.navigate", url=url)
        assert "errorText" not in answer, answer
        self.until("document.readyState === 'complete'")

    def value(self, expression: str) -> Any:
        """Return what an expression of JavaScript comes to, as JSON has it."""
        answer = self.ask("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def until(self, expression: str) -> None:
        """Wait until an expression is true; fail where it does not become so."""
        is_so = self.value(
            f"""new Promise((resolve) => {{
                const end = performance.now() + {_PAGE_PATIENCE * 1000};
                const look = () => {{
                    const isSo = Boolean({expression});
                    if (isSo || performance.now() > end) resolve(isSo);
                    else setTimeout(look, 15);
                }};
                look();
            }})"""
        )
        assert is_so, f"never so: {expression}; {self.errors}\n{self.value('document.body.innerText.slice(0, 2000)')}"

    def text(self, selector: str) -> str:
        """Return the text that the first element of a CSS selector shows."""
        return str(self.value(f"document.querySelector({json.dumps(selector)}).innerText"))

    def texts(self, selector: str) -> list[str]:
        """Return the texts that the elements of a CSS selector show."""
        every = f"Array.from(document.querySelectorAll({json.dumps(selector)}), (element) => element.innerText)"
        return list(self.value(every))

    def click(self, selector: str) -> None:
        """Click on the first element of a CSS selector."""
        self.value(f"document.querySelector({json.dumps(selector)}).click()")

    def focus(self, selector: str) -> None:
        """Lead the focus to the first element of a CSS selector."""
        self.value(f"document.querySelector({json.dumps(selector)}).focus()")

    def type(self, text: str) -> None:
        """Type a text where the focus is."""
        self.ask("Input.insertText", text=text)

    def press(self, key: str, *modifiers: str) -> None:
        """Press a key and let it go, while others are held."""
        code, number, text = _KEYS[key]
        held = sum(_MODIFIERS[modifier] for modifier in modifiers)
        event = {"key": key, "code": code, "windowsVirtualKeyCode": number, "modifiers": held}
        self.ask("Input.dispatchKeyEvent", type="keyDown", **event, **({"text": text} if text else {}))
        self.ask("Input.dispatchKeyEvent", type="keyUp", **event)

    def resize(self, width: int, height: int) -> None:
        """Give the page's window this size in pixels."""
        self.ask("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def picture(self) -> bytes:
        """Return what is seen in the window as PNG."""
        return base64.b64decode(self.ask("Page.captureScreenshot")["data"])

    def ask(self, method: str, **params: Any) -> dict[str, Any]:
        """Call a method of the protocol for this page."""
        return self.browser.ask(method, params, self.session)

    def hear(self, method: str, params: Mapping[str, Any]) -> None:
        """Take note of an event."""
        match method:
            case "Network.requestWillBeSent":
                self.requests.append(params["request"]["url"])
            case "Runtime.exceptionThrown":
                self.errors.append(str(params["exceptionDetails"]))
            case "Runtime.consoleAPICalled" if params["type"] in {"error", "warning", "assert"}:
                self.errors.append(str(params["args"]))
            case "Log.entryAdded" if params["entry"]["level"] in {"error", "warning"}:
                self.errors.append(f"{params['entry']['text']} {params['entry'].get('url', '')}")
            case "Fetch.requestPaused":
                self._answer(params["requestId"], params["request"])

    def _answer(self, number: str, request: Mapping[str, Any]) -> None:
        told = None if self.intercept is None else self.intercept(request["url"], request.get("postData", ""))
        if told is None:
            self.browser.say("Fetch.continueRequest", {"requestId": number}, self.session)
            return
        status, content_type, body = told
        self.browser.say(
            "Fetch.fulfillRequest",
            {
                "requestId": number,
                "responseCode": status,
                "responseHeaders": [{"name": "Content-Type", "value": content_type}],
                "body": base64.b64encode(body.encode()).decode(),
            },
            self.session,
        )


class Browser:
    """A running browser, at the other end of a socket."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._received = b""
        self._number = 0
        self._pages: dict[str, Page] = {}

    @contextmanager
    def page(
        self,
        *,
        width: int = 1000,
        height: int = 700,
        language: str = "en",
        scheme: str = "light",
        motion: str = "reduce",
        intercept: Interception | None = None,
    ) -> Iterator[Page]:
        """Open a page of this size for a reader of this language, who likes it ``light`` or ``dark``."""
        context = self.ask("Target.createBrowserContext")["browserContextId"]
        target = self.ask("Target.createTarget", {"url": "about:blank", "browserContextId": context})["targetId"]
        session = self.ask("Target.attachToTarget", {"targetId": target, "flatten": True})["sessionId"]
        page = self._pages[session] = Page(self, session, intercept)
        agent = self.ask("Browser.getVersion")["userAgent"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            page.ask(f"{domain}.enable")
        if intercept is not None:
            page.ask("Fetch.enable")
        page.resize(width, height)
        page.ask("Emulation.setUserAgentOverride", userAgent=agent, acceptLanguage=language)
        likes = {"prefers-color-scheme": scheme, "prefers-reduced-motion": motion}
        page.ask("Emulation.setEmulatedMedia", features=[{"name": name, "value": likes[name]} for name in likes])
        try:
            yield page
        finally:
            self.ask("Target.disposeBrowserContext", {"browserContextId": context})
            del self._pages[session]

    def say(self, method: str, params: Mapping[str, Any] | None = None, session: str | None = None) -> int:
        """Call a method without waiting for its answer; return the call's number."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": params or {}}
        if session is not None:
            message["sessionId"] = session
        self._connection.sendall(json.dumps(message).encode() + b"\0")
        return self._number

    def ask(self, method: str, params: Mapping[str, Any] | None = None, session: str | None = None) -> dict[str, Any]:
        """Call a method and return its answer; what is reported meanwhile goes to the pages."""
        number = self.say(method, params, session)
        while True:
            message = self._next()
            if "method" in message:
                if (page := self._pages.get(message.get("sessionId", ""))) is not None:
                    page.hear(message["method"], message["params"])
            elif message["id"] == number:
                assert "error" not in message, f"{method}: {message['error']}"
                return dict(message["result"])

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._received:
            received = self._connection.recv(1 << 16)
            assert received, "the browser has gone"
            self._received += received
        message, _, self._received = self._received.partition(b"\0")
        return dict(json.loads(message))


@contextmanager
def browsing(program: str) -> Iterator[Browser]:
    """Run a browser until the block ends."""
    ours, theirs = socket.socketpair()
    with ours, TemporaryDirectory(prefix="covers-browser-", ignore_cleanup_errors=True) as profile:
        flags = [*_FLAGS, f"--user-data-dir={profile}"]
        if os.getuid() == 0:
            flags.append("--no-sandbox")  # Chromium cannot have one as root
        with theirs:
            # It hears by descriptor 3 and speaks by 4, which only a shell can give it.
            process = subprocess.Popen(
                ["/bin/sh", "-c", 'exec "$@" 3<&0 4>&0 </dev/null', "sh", program, *flags],
                env=os.environ | {"HOME": profile},
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        ours.settimeout(_PATIENCE)
        try:
            browser = Browser(ours)
            yield browser
            browser.say("Browser.close")
            process.wait(_PATIENCE)
        finally:
            # Its helpers are in its session: whatever came of it, none of them stays.
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
