"""A headless Chromium, controlled through the Chrome DevTools Protocol over a socket pair.

The protocol (https://chromedevtools.github.io/devtools-protocol/) consists of JSON messages, each ended by a zero byte.
There is no background thread: events are read while a method call waits for its result.
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

#: The timeout of a method call, and that of ``Page.wait_for``, in seconds.
_CALL_TIMEOUT = 20.0
_WAIT_TIMEOUT = 10.0

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

#: Keys by name: the key's code, its Windows virtual key code, and the text that it types.
_KEYS = {"Enter": ("Enter", 13, "\r"), "Tab": ("Tab", 9, ""), "Escape": ("Escape", 27, ""), " ": ("Space", 32, " ")}
_MODIFIERS = {"Alt": 1, "Control": 2, "Shift": 8}

#: Intercepts requests: takes a URL and a body, and returns status, Content-Type and body of the response that the page
#: gets, or None to send the request to its server.
Interception = Callable[[str, str], tuple[int, str, str] | None]


@dataclass(slots=True)
class Page:
    """A page in a browser context of its own.

    ``errors`` has the errors and warnings of its console, ``requests`` the URLs that it requested.
    """

    browser: "Browser"
    session_id: str
    intercept: Interception | None = None
    errors: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def open(self, url: str) -> None:
        """Navigate to a URL and wait until the page has loaded."""
        result = self.call("Page.navigate", url=url)
        assert "errorText" not in result, result
        self.wait_for("document.readyState === 'complete'")

    def evaluate(self, expression: str) -> Any:
        """Return the JSON value of a JavaScript expression; a promise is awaited."""
        result = self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    def wait_for(self, expression: str) -> None:
        """Wait until a JavaScript expression is truthy; fail after the timeout."""
        succeeded = self.evaluate(
            f"""new Promise((resolve) => {{
                const deadline = performance.now() + {_WAIT_TIMEOUT * 1000};
                const check = () => {{
                    const succeeded = Boolean({expression});
                    if (succeeded || performance.now() > deadline) resolve(succeeded);
                    else setTimeout(check, 15);
                }};
                check();
            }})"""
        )
        if not succeeded:
            body = self.evaluate("document.body.innerText.slice(0, 2000)")
            raise AssertionError(f"timed out waiting for {expression}; console: {self.errors}; page:\n{body}")

    def text(self, selector: str) -> str:
        """Return the visible text of the first element that matches a CSS selector."""
        return str(self.evaluate(f"document.querySelector({json.dumps(selector)}).innerText"))

    def texts(self, selector: str) -> list[str]:
        """Return the visible texts of all elements that match a CSS selector."""
        texts = f"Array.from(document.querySelectorAll({json.dumps(selector)}), (element) => element.innerText)"
        return list(self.evaluate(texts))

    def click(self, selector: str) -> None:
        """Click the first element that matches a CSS selector."""
        self.evaluate(f"document.querySelector({json.dumps(selector)}).click()")

    def focus(self, selector: str) -> None:
        """Focus the first element that matches a CSS selector."""
        self.evaluate(f"document.querySelector({json.dumps(selector)}).focus()")

    def type(self, text: str) -> None:
        """Insert text into the focused element."""
        self.call("Input.insertText", text=text)

    def press(self, key: str, *modifiers: str) -> None:
        """Press and release a key while the modifier keys are held."""
        code, virtual_key, text = _KEYS[key]
        modifier_bits = sum(_MODIFIERS[modifier] for modifier in modifiers)
        event = {"key": key, "code": code, "windowsVirtualKeyCode": virtual_key, "modifiers": modifier_bits}
        self.call("Input.dispatchKeyEvent", type="keyDown", **event, **({"text": text} if text else {}))
        self.call("Input.dispatchKeyEvent", type="keyUp", **event)

    def resize(self, width: int, height: int) -> None:
        """Set the size of the viewport in pixels."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def screenshot(self) -> bytes:
        """Return the viewport as PNG."""
        return base64.b64decode(self.call("Page.captureScreenshot")["data"])

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Call a method of the protocol in this page's session; return its result."""
        return self.browser.call(method, params, self.session_id)

    def handle_event(self, method: str, params: Mapping[str, Any]) -> None:
        """Process an event of this page's session."""
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
                self._handle_request(params["requestId"], params["request"])

    def _handle_request(self, request_id: str, request: Mapping[str, Any]) -> None:
        response = None if self.intercept is None else self.intercept(request["url"], request.get("postData", ""))
        if response is None:
            self.browser.send("Fetch.continueRequest", {"requestId": request_id}, self.session_id)
            return
        status, content_type, body = response
        self.browser.send(
            "Fetch.fulfillRequest",
            {
                "requestId": request_id,
                "responseCode": status,
                "responseHeaders": [{"name": "Content-Type", "value": content_type}],
                "body": base64.b64encode(body.encode()).decode(),
            },
            self.session_id,
        )


class Browser:
    """A running browser at the other end of a socket."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._buffer = b""
        self._last_call_id = 0
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
        """Open a page with this viewport, Accept-Language and media features; it is closed when the block ends.

        ``scheme`` is ``light`` or ``dark``, ``motion`` is ``reduce`` or ``no-preference``.
        """
        context = self.call("Target.createBrowserContext")["browserContextId"]
        target = self.call("Target.createTarget", {"url": "about:blank", "browserContextId": context})["targetId"]
        session_id = self.call("Target.attachToTarget", {"targetId": target, "flatten": True})["sessionId"]
        page = self._pages[session_id] = Page(self, session_id, intercept)
        user_agent = self.call("Browser.getVersion")["userAgent"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            page.call(f"{domain}.enable")
        if intercept is not None:
            page.call("Fetch.enable")
        page.resize(width, height)
        page.call("Emulation.setUserAgentOverride", userAgent=user_agent, acceptLanguage=language)
        features = {"prefers-color-scheme": scheme, "prefers-reduced-motion": motion}
        page.call(
            "Emulation.setEmulatedMedia", features=[{"name": name, "value": value} for name, value in features.items()]
        )
        try:
            yield page
        finally:
            self.call("Target.disposeBrowserContext", {"browserContextId": context})
            del self._pages[session_id]

    def send(self, method: str, params: Mapping[str, Any] | None = None, session_id: str | None = None) -> int:
        """Call a method without waiting for its result; return the id of the call."""
        self._last_call_id += 1
        message = {"id": self._last_call_id, "method": method, "params": params or {}}
        if session_id is not None:
            message["sessionId"] = session_id
        self._connection.sendall(json.dumps(message).encode() + b"\0")
        return self._last_call_id

    def call(
        self, method: str, params: Mapping[str, Any] | None = None, session_id: str | None = None
    ) -> dict[str, Any]:
        """Call a method and return its result. Events that arrive meanwhile go to their pages."""
        call_id = self.send(method, params, session_id)
        while True:
            message = self._next_message()
            if "method" in message:
                if (page := self._pages.get(message.get("sessionId", ""))) is not None:
                    page.handle_event(message["method"], message["params"])
            elif message["id"] == call_id:
                assert "error" not in message, f"{method}: {message['error']}"
                return dict(message["result"])

    def _next_message(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            received = self._connection.recv(1 << 16)
            assert received, "the browser closed the connection"
            self._buffer += received
        message, _, self._buffer = self._buffer.partition(b"\0")
        return dict(json.loads(message))


@contextmanager
def run_browser(program: str) -> Iterator[Browser]:
    """Run a browser until the block ends."""
    own_end, browser_end = socket.socketpair()
    with own_end, TemporaryDirectory(prefix="covers-browser-", ignore_cleanup_errors=True) as profile:
        flags = [*_FLAGS, f"--user-data-dir={profile}"]
        if os.getuid() == 0:
            flags.append("--no-sandbox")  # Chromium's sandbox does not work as root
        with browser_end:
            # Chromium reads from descriptor 3 and writes to 4. The shell duplicates the socket, its stdin, to both.
            process = subprocess.Popen(
                ["/bin/sh", "-c", 'exec "$@" 3<&0 4>&0 </dev/null', "sh", program, *flags],
                env=os.environ | {"HOME": profile},
                stdin=browser_end.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        own_end.settimeout(_CALL_TIMEOUT)
        try:
            browser = Browser(own_end)
            yield browser
            browser.send("Browser.close")
            process.wait(_CALL_TIMEOUT)
        finally:
            # The browser's child processes are in its process group: all are killed if it did not exit.
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
