"""The store of many machines: Redis from version 5 on, or Valkey.

One server at ``redis://`` or ``rediss://`` (TLS), or what looks like one. Cluster and Sentinel are not spoken.

All of it lies under ``covers:``, values with a lifetime that the server itself keeps. What goes first where there is no
room is the server's to choose: ``maxmemory-policy volatile-ttl`` takes what would have ended soonest, which is what
says that there is no cover.
"""

import re
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import SplitResult, parse_qsl, urlsplit

import gevent
from redis import BlockingConnectionPool, Redis
from redis.backoff import NoBackoff
from redis.connection import Connection
from redis.exceptions import ReadOnlyError, RedisError
from redis.retry import Retry

from app.store.base import StoreError

#: For connecting, and for each read or write of a socket.
SOCKET_SECONDS = 0.2
#: For a call in all: no time-out of a socket bounds resolving, drips, and waiting for a connection.
CALL_SECONDS = 0.5
#: In each worker, opened when needed. A call costs 0.15 ms of processor time, so eight keep a worker busy where an
#: answer takes 1 ms; opening many at once takes long, since gevent resolves names, numeric ones too, in ten threads.
MAX_CONNECTIONS = 8

VALUES = "covers:value:"
LEASES = "covers:lease:"
#: The stream of what was forgotten.
INVALIDATIONS = "covers:forgotten"
#: Before the first entry of any stream.
STREAM_START = "0-0"
#: So many entries are read at a time; the stream itself is kept at about 10,000.
MAX_INVALIDATIONS = 1000

#: A century in milliseconds. Redis refuses what would end after the year 292 million.
MAX_LIFETIME = 100 * 365 * 86_400_000

# Sent in full each time (EVAL): what EVALSHA saves cannot be measured, and it has a case more: scripts that are lost.
ACQUIRE_SCRIPT = """
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
"""
RELEASE_SCRIPT = "if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end"
# In this order it works in a full server too, where a script may write once it has made room.
FORGET_SCRIPT = """
local dropped = redis.call('DEL', KEYS[1])
redis.call('XADD', KEYS[2], 'MAXLEN', '~', 10000, '*', 'key', ARGV[1])
return dropped
"""


class RedisStore:
    """A store at ``url``: ``redis://[[user]:password@]host[:port][/database]``, or the same with ``rediss://``.

    The latter takes ``?ssl_ca_certs=FILE``, ``ssl_certfile=FILE``, ``ssl_keyfile=FILE`` and ``ssl_cert_reqs=none``.
    Connections are opened by the first calls, after a fork or before; any number of greenlets may call.

    Raises:
        ValueError: the URL is wrong, or a file that it names. The text is one line and does not quote the URL.

    """

    def __init__(self, url: str) -> None:
        parts = _split(url)
        options: dict[str, Any] = {}
        if parts.scheme == "rediss":
            options = {"connection_class": _TLSConnection, "context": _context(parts.query)}
        self._pool = BlockingConnectionPool.from_url(
            parts._replace(query="").geturl(),
            max_connections=MAX_CONNECTIONS,
            timeout=CALL_SECONDS,
            socket_connect_timeout=SOCKET_SECONDS,
            socket_timeout=SOCKET_SECONDS,
            retry=Retry(NoBackoff(), 0),
            # With no retry this says only: not on this connection again. A server that was demoted keeps its clients,
            # and its name may lead to another one by now.
            retry_on_error=[ReadOnlyError],
            # Nothing that asks more of the server when a connection is opened: HELLO, its maintenance, our version.
            protocol=2,
            driver_info=None,
            encoding_errors="surrogatepass",
            **options,
        )
        self._client: Any = Redis(connection_pool=self._pool)  # its answers are typed for each protocol there is
        self._under_way = 0
        self._place = f"redis at {parts.hostname or 'localhost'}:{parts.port or 6379}"
        self._password: str | None = self._pool.connection_kwargs.get("password")

    def get(self, key: str) -> bytes | None:
        """Return the value, or None. Raises StoreError, as each of these does."""
        with self._asking():
            value: bytes | None = self._client.get(VALUES + key)
            return value

    def put(self, key: str, value: bytes, *, lifetime: float, is_positive: bool) -> None:  # noqa: ARG002 - see above
        """Keep the value for ``lifetime`` seconds, at least a millisecond and at most a century."""
        with self._asking():
            self._client.set(VALUES + key, value, px=_milliseconds(lifetime))

    def forget(self, key: str) -> bool:
        """Drop the value, and let everybody know; return whether there was one."""
        with self._asking():
            return bool(self._client.eval(FORGET_SCRIPT, 2, VALUES + key, INVALIDATIONS, key))

    def invalidations(self, since: str) -> tuple[str, list[str]]:
        """Return what was forgotten after the point ``since``, a thousand at most, and the point to ask from next.

        A server that lost the stream, and tells less than was known, is asked from its beginning next time: what is
        forgotten twice costs a lookup, what is missed would be served on.
        """
        with self._asking():
            newest = self._client.xrevrange(INVALIDATIONS, count=1)
            present = newest[0][0].decode() if newest else STREAM_START
            if since in ("", present):
                return present, []
            streams = self._client.xread({INVALIDATIONS: since}, count=MAX_INVALIDATIONS)
            if not streams:
                return STREAM_START, []
            news = streams[0][1]
            return news[-1][0].decode(), [entry[b"key"].decode(errors="surrogatepass") for _point, entry in news]

    def lease(self, key: str, token: str, seconds: float) -> bool:
        """Take the lease of a key, or prolong one that has this token; return whether it is held by the token now."""
        with self._asking():
            return bool(self._client.eval(ACQUIRE_SCRIPT, 1, LEASES + key, token, _milliseconds(seconds)))

    def release(self, key: str, token: str) -> None:
        """Give the lease of a key back, if it is this token's."""
        with self._asking():
            self._client.eval(RELEASE_SCRIPT, 1, LEASES + key, token)

    def close(self) -> None:
        """Close all connections, those that a greenlet waits on too; a later call opens new ones."""
        self._pool.disconnect()

    @contextmanager
    def _asking(self) -> Iterator[None]:
        """Bound what is done inside, and tell any failure of it as a StoreError.

        A connection that was left in the middle of an answer, by an exception of any kind, is closed by redis-py: no
        answer is ever taken for that to a later call.
        """
        budget = gevent.Timeout.start_new(CALL_SECONDS)
        is_crowded = self._under_way >= MAX_CONNECTIONS
        self._under_way += 1
        try:
            if is_crowded:
                # Whoever waits for a connection comes first: the pool gives it to the greenlet that runs, which may be
                # the one that has just had it, again and again.
                gevent.sleep(0)
            yield
        except gevent.Timeout as expired:
            if expired is not budget:
                raise
            raise StoreError(f"{self._place}: not done within {CALL_SECONDS} seconds") from expired
        except Exception as error:
            # Any: what is no answer of Redis's leaves redis-py as whatever its parser stumbled over.
            raise StoreError(f"{self._place}: {self._told(error)}") from error
        finally:
            self._under_way -= 1
            budget.close()
            # Its traceback holds this frame, and this frame would hold it, with all sockets on the way.
            del budget

    def _told(self, error: Exception) -> str:
        """Return one line without the password: servers quote commands that they do not know, AUTH among them."""
        code = getattr(error, "status_code", None)
        text = str(error) if isinstance(error, (RedisError, OSError)) else f"{type(error).__name__}: {error}"
        line = " ".join(f"{code or ''} {text}".split())
        return line.replace(self._password, "***") if self._password else line


class _TLSConnection(Connection):
    """A connection over TLS, all with one context.

    redis-py's own makes a context for each and loads the system's certificates for it every time: tens of milliseconds
    in which no other greenlet runs.
    """

    def __init__(self, *, context: ssl.SSLContext, **options: Any) -> None:
        super().__init__(**options)  # type: ignore[no-untyped-call]  # redis-py types only what is public
        self._context = context

    def _connect(self) -> Any:
        sock = super()._connect()  # type: ignore[no-untyped-call]  # likewise
        try:
            # In two steps: with a handshake inside the first, a time-out in it would leave a socket that nobody holds.
            sock = self._context.wrap_socket(sock, server_hostname=self.host, do_handshake_on_connect=False)
            sock.do_handshake()
        except BaseException:
            sock.close()
            raise
        return sock


def _split(url: str) -> SplitResult:
    """Check what redis-py reads generously: it takes a wrong database for none, and any option for its own."""
    try:
        parts = urlsplit(url)
        if parts.port == 0:
            raise ValueError
    except ValueError:
        # Its text would quote a piece of a password that has a "/" in it.
        raise ValueError("expected HOST or HOST:PORT; what is special in a password is written as %XX") from None
    if parts.scheme not in ("redis", "rediss"):
        raise ValueError("expected redis://… or rediss://…")
    if parts.fragment or not re.fullmatch(r"/?[0-9]{0,9}", parts.path):
        raise ValueError("expected a number as the database, after the / behind the host")
    if parts.query and parts.scheme == "redis":
        raise ValueError("expected no options behind a ?: there are none for redis://")
    return parts


def _context(query: str) -> ssl.SSLContext:
    """Return a TLS context as the options of the URL have it."""
    options = dict(parse_qsl(query, keep_blank_values=True))
    authorities, certificate = options.pop("ssl_ca_certs", None), options.pop("ssl_certfile", None)
    key, demand = options.pop("ssl_keyfile", None), options.pop("ssl_cert_reqs", "required")
    if options:
        raise ValueError(f"expected only ssl_ca_certs, ssl_certfile, ssl_keyfile and ssl_cert_reqs, not {min(options)}")
    if demand not in ("required", "none"):
        raise ValueError('expected "required" or "none" as ssl_cert_reqs')
    try:
        context = ssl.create_default_context(cafile=authorities)
        if certificate is not None:
            context.load_cert_chain(certificate, key)
    except OSError as error:
        raise ValueError(f"a file of certificates cannot be used: {error}") from error
    if demand == "none":
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _milliseconds(seconds: float) -> int:
    return max(1, int(min(MAX_LIFETIME, seconds * 1000)))
