"""The store of many machines: Redis 5 or later, or Valkey.

The URL is ``redis://`` or ``rediss://`` (TLS) and leads to one server. Cluster and Sentinel are not supported.

All keys have the prefix ``covers:``, and the server expires values and leases itself. When its memory is full, the
server's ``maxmemory-policy`` decides what is evicted: ``volatile-ttl`` evicts what would expire soonest, which are the
negative entries.
"""

import re
import ssl
import struct
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import SplitResult, parse_qsl, urlsplit

import gevent
from redis import BlockingConnectionPool, Redis
from redis.backoff import NoBackoff
from redis.connection import Connection
from redis.exceptions import ReadOnlyError, RedisError, ResponseError
from redis.retry import Retry

from app.concurrency.fair_semaphore import FairSemaphore
from app.store.base import Entry, Look, StoreError, StoreOverloaded

#: Seconds for connecting, and for each read or write of a socket.
SOCKET_TIMEOUT = 0.2
#: Seconds for a command in all. Socket timeouts do not bound name resolution, or a response that trickles in.
CALL_TIMEOUT = 0.5
#: Seconds that a call waits for one of the connections. That wait is caused by the load of this worker, so it does not
#: count as a failure of the server.
QUEUE_TIMEOUT = 2.0
#: Connections of each worker, opened when needed. A call takes 0.15 ms of processor time, so eight keep a worker busy
#: while a response takes 1 ms. Opening many at once is slow, since gevent resolves host names, numeric ones included,
#: in a pool of ten threads.
MAX_CONNECTIONS = 8

VALUE_PREFIX = "covers:value:"
#: How long a purge number is kept for a key, in milliseconds: for longer than any fetch may last.
PURGE_LIFETIME_MS = 3_600_000
#: Two purge numbers, separated by a colon: the first one since the server had no data, and the latest one.
PURGES = "covers:purges"
#: The stream of the keys that were forgotten. Its entry ids are the cursors of ``invalidations``.
INVALIDATION_STREAM = "covers:forgotten"
#: An id lower than that of any entry of a stream.
STREAM_START = "0-0"
#: Entries that one call reads at most. The stream is trimmed to about 10,000 entries.
MAX_INVALIDATIONS = 1000

#: A century in milliseconds. Redis refuses an expiry after the year 292 million.
MAX_LIFETIME_MS = 100 * 365 * 86_400_000

# The scripts are sent in full each time (EVAL). EVALSHA saves 3 of some 50 microseconds, and would need a fallback for
# scripts that the server has lost. A stored record begins with the time at which it is due, as a big-endian double.
# KEYS are the record, the lease and the purge number of an item. No command has more than ten arguments: a server with
# a password would answer a longer one with a protocol error, not with the error that says that the password is missing.
#
# The first purge number is the server's time in microseconds. So a server that has lost its data starts with a greater
# number than all those before, unless its clock was set back by more than the age of the data.
_READ_PURGES = f"""
local function read_purges()
    local first, last = string.match(redis.call('GET', '{PURGES}') or '', '^(%d+):(%d+)$')
    if first then return first, last, false end
    local time = redis.call('TIME')
    first = time[1] .. string.format('%06d', time[2])
    return first, first, true
end
"""
LOOK_SCRIPT = f"""{_READ_PURGES}
local record = redis.call('GET', KEYS[1])
local first, number, is_new = read_purges()
-- pcall: a server that refuses writes, since it is full or a replica, can still be read.
if is_new then redis.pcall('SET', '{PURGES}', first .. ':' .. number) end
if record and #record >= 8 and struct.unpack('>d', record) > tonumber(ARGV[3]) then return {{record, 0, number}} end
if redis.call('GET', KEYS[2]) then return {{record, 0, number}} end
redis.pcall('SET', KEYS[2], ARGV[1], 'PX', ARGV[2])
return {{record, 1, number}}
"""
# A lifetime of 0 is for a record that must not be kept, a negative one for no record.
SETTLE_SCRIPT = f"""{_READ_PURGES}
if redis.call('GET', KEYS[2]) == ARGV[1] then redis.call('DEL', KEYS[2]) end
local number, lifetime = tonumber(ARGV[2]), tonumber(ARGV[3])
local purge = redis.call('GET', KEYS[3])
if purge and tonumber(purge) > number then return 0 end
if number > 0 and tonumber((read_purges())) > number then return 0 end
if lifetime > 0 then redis.call('SET', KEYS[1], ARGV[4], 'PX', ARGV[3]) end
if lifetime == 0 then redis.call('DEL', KEYS[1]) end
return 1
"""
RENEW_SCRIPT = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
"""
# DEL comes first: once a script has freed memory, it may write even if the server's memory is full.
FORGET_SCRIPT = f"""{_READ_PURGES}
local deleted = redis.call('DEL', KEYS[1])
redis.call('DEL', KEYS[2])
local first, last = read_purges()
local number = string.format('%.0f', tonumber(last) + 1)
redis.call('SET', '{PURGES}', first .. ':' .. number)
redis.call('SET', KEYS[3], number, 'PX', {PURGE_LIFETIME_MS})
redis.call('XADD', '{INVALIDATION_STREAM}', 'MAXLEN', '~', 10000, '*', 'key', ARGV[1])
return deleted
"""


class RedisStore:
    """A store at ``url``: ``redis://[[user]:password@]host[:port][/database]``, or the same with ``rediss://``.

    A ``rediss://`` URL takes the options ``?ssl_ca_certs=FILE``, ``ssl_certfile=FILE``, ``ssl_keyfile=FILE`` and
    ``ssl_cert_reqs=none``. The constructor opens no connection; calls do when needed, before or after a fork. Any
    number of greenlets may share a store.

    Raises:
        ValueError: the URL, or a file that it names, is invalid. The text is one line that does not quote the URL.

    """

    def __init__(self, url: str) -> None:
        parts = _parse_url(url)
        options: dict[str, Any] = {}
        if parts.scheme == "rediss":
            options = {"connection_class": _TLSConnection, "context": _tls_context(parts.query)}
        self._pool = BlockingConnectionPool.from_url(
            parts._replace(query="").geturl(),
            max_connections=MAX_CONNECTIONS,
            timeout=CALL_TIMEOUT,
            socket_connect_timeout=SOCKET_TIMEOUT,
            socket_timeout=SOCKET_TIMEOUT,
            retry=Retry(NoBackoff(), 0),
            # Without retries this only closes the connection after the error. A server that becomes a replica keeps its
            # connections, and the host name may lead to another server by then.
            retry_on_error=[ReadOnlyError],
            # Opening a connection sends no further commands, such as HELLO, CLIENT SETINFO or MAINT_NOTIFICATIONS.
            protocol=2,
            driver_info=None,
            encoding_errors="surrogatepass",
            **options,
        )
        self._client: Any = Redis(connection_pool=self._pool)  # its results are typed as unions over all protocols
        self._connections = FairSemaphore(MAX_CONNECTIONS)
        self._failures = 0
        self._address = f"redis at {parts.hostname or 'localhost'}:{parts.port or 6379}"
        self._password: str | None = self._pool.connection_kwargs.get("password")

    def get(self, key: str) -> bytes | None:
        """Return the value, or None."""
        with self._call():
            value: bytes | None = self._client.get(VALUE_PREFIX + key)
            return value

    def put(self, key: str, value: bytes, *, lifetime: float, is_positive: bool) -> None:  # noqa: ARG002 - eviction is by expiry
        """Store the value for ``lifetime`` seconds, at least a millisecond and at most a century."""
        with self._call():
            self._client.set(VALUE_PREFIX + key, value, px=_milliseconds(lifetime))

    def look(self, key: str, token: str, seconds: float, now: float) -> Look:
        """Return the record, and acquire the lease for ``token`` unless the record is not due at ``now``."""
        with self._call():
            record, has_lease, number = self._client.eval(
                LOOK_SCRIPT, 3, *_keys_of(key), token, _milliseconds(seconds), repr(now)
            )
            return Look(None if record is None else record[_DUE.size :], bool(has_lease), int(number))

    def settle(self, key: str, token: str, entry: Entry | None, purge_number: int) -> bool:
        """Store ``entry`` unless the key was forgotten after ``purge_number``; release the lease of ``token``."""
        lifetime, record = -1, b""
        if entry is not None:
            lifetime = _milliseconds(entry.lifetime) if entry.lifetime > 0 else 0
            record = _DUE.pack(entry.due) + entry.value
        with self._call():
            return bool(self._client.eval(SETTLE_SCRIPT, 3, *_keys_of(key), token, purge_number, lifetime, record))

    def renew_lease(self, key: str, token: str, seconds: float) -> bool:
        """Let the lease expire after ``seconds`` from now, if ``token`` still holds it; return whether it does."""
        with self._call():
            return bool(self._client.eval(RENEW_SCRIPT, 1, _keys_of(key)[1], token, _milliseconds(seconds)))

    def forget(self, key: str) -> bool:
        """Delete the record and the lease, and add the key to the invalidations; return whether there was a record."""
        with self._call():
            return bool(self._client.eval(FORGET_SCRIPT, 3, *_keys_of(key), key))

    def invalidations(self, since: str) -> tuple[str, list[str]]:
        """Return a new cursor, and the keys that were forgotten after the cursor ``since``: a thousand at most.

        If the cursor is ahead of the stream, the server has lost the stream. The new cursor is then its start:
        forgetting a key twice costs one lookup, while missing a key would leave a forgotten cover in memory.
        """
        with self._call():
            newest = self._client.xrevrange(INVALIDATION_STREAM, count=1)
            newest_id = newest[0][0].decode() if newest else STREAM_START
            if since in ("", newest_id):
                return newest_id, []
            streams = self._client.xread({INVALIDATION_STREAM: since}, count=MAX_INVALIDATIONS)
            if not streams:
                return STREAM_START, []
            entries = streams[0][1]
            return entries[-1][0].decode(), [fields[b"key"].decode(errors="surrogatepass") for _id, fields in entries]

    def close(self) -> None:
        """Close all connections, including those that are in use. A later call opens new ones."""
        self._pool.disconnect()

    @contextmanager
    def _call(self) -> Iterator[None]:
        """Limit the time of the block, and raise StoreError for anything that fails in it.

        If an exception interrupts a command, redis-py closes the connection. So a late response is never taken for the
        response to another command.
        """
        failures = self._failures
        if not self._connections.acquire(QUEUE_TIMEOUT):
            raise StoreOverloaded(f"{self._address}: no connection became free within {QUEUE_TIMEOUT} seconds")
        timeout = gevent.Timeout.start_new(CALL_TIMEOUT)
        try:
            if failures != self._failures:
                # Otherwise the calls that wait would time out one after the other.
                raise StoreError(f"{self._address}: it failed while this call waited for a connection")
            yield
        except StoreError:
            raise
        except gevent.Timeout as expired:
            if expired is not timeout:
                raise
            self._failures += 1
            raise StoreError(f"{self._address}: no response within {CALL_TIMEOUT} seconds") from expired
        except Exception as error:
            if isinstance(error, ReadOnlyError):
                # A server that becomes a replica keeps its connections, and the host name may lead to another server
                # by then.
                self._pool.disconnect(inuse_connections=False)
            if not isinstance(error, ResponseError):
                self._failures += 1
            _clear_frames(error)
            # redis-py's parser raises exceptions of any class for bytes that are no Redis response.
            raise StoreError(f"{self._address}: {self._describe(error)}") from error
        finally:
            timeout.close()
            self._connections.release()
            # The traceback of an expired timeout refers to this frame. Without the reference back there is no cycle,
            # which would keep the sockets open until the garbage collector runs.
            del timeout

    def _describe(self, error: Exception) -> str:
        """Return one line without the password: a server that does not know AUTH quotes the command in its error."""
        code = getattr(error, "status_code", None)
        text = str(error) if isinstance(error, (RedisError, OSError)) else f"{type(error).__name__}: {error}"
        line = " ".join(f"{code or ''} {text}".split())
        return line.replace(self._password, "***") if self._password else line


def _clear_frames(error: BaseException | None) -> None:
    """Clear the frames of redis-py, one of which keeps the error of a connection that was refused in a variable."""
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__context__


#: How the time at which a record is due precedes it.
_DUE = struct.Struct(">d")


def _keys_of(key: str) -> tuple[str, str, str]:
    """Return the keys of the record, the lease and the purge number of ``key``.

    The braces make all of them one hash slot of a Redis Cluster.
    """
    return f"covers:{{{key}}}:record", f"covers:{{{key}}}:lease", f"covers:{{{key}}}:purge"


class _TLSConnection(Connection):
    """A connection over TLS with a given context, which all connections share.

    redis-py's own class makes a context for each connection and loads the system's certificates into it. That blocks
    the hub for tens of milliseconds each time.
    """

    def __init__(self, *, context: ssl.SSLContext, **options: Any) -> None:
        super().__init__(**options)  # type: ignore[no-untyped-call]  # redis-py types only its public methods
        self._context = context

    def _connect(self) -> Any:
        sock = super()._connect()  # type: ignore[no-untyped-call]  # as above
        try:
            # The handshake is a separate step: a timeout during a handshake in wrap_socket would leak the socket.
            sock = self._context.wrap_socket(sock, server_hostname=self.host, do_handshake_on_connect=False)
            sock.do_handshake()
        except BaseException:
            sock.close()
            raise
        return sock


def _parse_url(url: str) -> SplitResult:
    """Check what redis-py accepts silently: it ignores an invalid database, and takes any option for one of its own."""
    try:
        parts = urlsplit(url)
        if parts.port == 0:
            raise ValueError
    except ValueError:
        # If the password contains a "/", the text of urllib's error quotes a part of it.
        raise ValueError("expected HOST or HOST:PORT; write special characters in the password as %XX") from None
    if parts.scheme not in ("redis", "rediss"):
        raise ValueError("expected redis://… or rediss://…")
    if parts.fragment or not re.fullmatch(r"/?[0-9]{0,9}", parts.path):
        raise ValueError("expected the number of a database after the host, as in redis://HOST/0")
    if parts.query and parts.scheme == "redis":
        raise ValueError("expected no options after a ?: redis:// takes none")
    return parts


def _tls_context(query: str) -> ssl.SSLContext:
    """Return a TLS context for the options in the query of the URL."""
    options = dict(parse_qsl(query, keep_blank_values=True))
    ca_certs, certificate = options.pop("ssl_ca_certs", None), options.pop("ssl_certfile", None)
    key, requirement = options.pop("ssl_keyfile", None), options.pop("ssl_cert_reqs", "required")
    if options:
        raise ValueError(f"expected only ssl_ca_certs, ssl_certfile, ssl_keyfile and ssl_cert_reqs, not {min(options)}")
    if requirement not in ("required", "none"):
        raise ValueError('expected "required" or "none" as ssl_cert_reqs')
    try:
        context = ssl.create_default_context(cafile=ca_certs)
        if certificate is not None:
            context.load_cert_chain(certificate, key)
    except OSError as error:
        raise ValueError(f"cannot load the certificates or the key: {error}") from error
    if requirement == "none":
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _milliseconds(seconds: float) -> int:
    return max(1, int(min(MAX_LIFETIME_MS, seconds * 1000)))
