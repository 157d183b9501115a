"""The store of many machines: Redis 5 or later, or Valkey.

The URL is ``redis://`` or ``rediss://`` (TLS) and leads to one server. Cluster and Sentinel are not supported.

All keys in Redis have the prefix ``covers:``. Records, other values and leases have a time to live, after which the
server deletes them. When the memory of the server is full, its ``maxmemory-policy`` decides which keys it evicts. The
policy ``volatile-ttl`` evicts the keys that would expire soonest, so it usually evicts negative records before covers.
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

#: Seconds that opening a connection may take, and that each read or write of a socket may take.
SOCKET_TIMEOUT = 0.2
#: Seconds that a whole call may take. The socket timeout limits neither the resolution of the host name, nor a response
#: that arrives in many small pieces.
CALL_TIMEOUT = 0.5
#: Seconds that a call waits for a free connection. The cause of a longer wait is the load of this worker, so the
#: timeout does not count as a failure of the server.
QUEUE_TIMEOUT = 2.0
#: The maximum number of connections of a worker. They are opened when needed. A call uses 0.15 ms of processor time. If
#: a response takes 1 ms, eight concurrent calls therefore use all the processor time of a worker. Opening more
#: connections at once would be slow, because gevent resolves host names in a pool of ten threads, even if they are IP
#: addresses.
MAX_CONNECTIONS = 8

VALUE_PREFIX = "covers:value:"
#: The time to live of the purge number of a forgotten key, in milliseconds. It is longer than any fetch may take.
PURGE_LIFETIME_MS = 3_600_000
#: The key of the first and the latest purge number, separated by a colon. If the server does not have this key, because
#: it is new or has lost its data, a script makes a new first number.
PURGES = "covers:purges"
#: The stream of the keys that were forgotten. The cursors of ``invalidations`` are the ids of its entries.
INVALIDATION_STREAM = "covers:forgotten"
#: An id that is lower than the id of any entry of a stream.
STREAM_START = "0-0"
#: The maximum number of entries that one call reads. The stream is trimmed to about 10,000 entries.
MAX_INVALIDATIONS = 1000

#: The longest time to live, in milliseconds: a century. Redis refuses times to live that end after the year 292
#: million.
MAX_LIFETIME_MS = 100 * 365 * 86_400_000

# Each call sends the whole script (EVAL). EVALSHA would save 3 of about 50 microseconds, but it would need a fallback
# for scripts that the server has lost. No command has more than ten arguments. A server that requires a password
# responds to a longer command from a client without a password with a protocol error, which does not say that the
# password is missing.
#
# KEYS are the Redis keys that ``_keys_of`` returns: the record, the lease and the purge number of an item. A stored
# record begins with the time at which it is due for a refresh, as a big-endian double.
#
# The first purge number is the server's time in microseconds. So after a loss of data, the new first number is greater
# than all earlier purge numbers, unless the server's clock was set back by more than the age of the lost data.
_READ_PURGES = f"""
local function read_purges()
    local first, last = string.match(redis.call('GET', '{PURGES}') or '', '^(%d+):(%d+)$')
    if first then return first, last, false end
    local time = redis.call('TIME')
    first = time[1] .. string.format('%06d', time[2])
    return first, first, true
end
"""
# ARGV are the token, the lifetime of the lease in milliseconds, and the present time in seconds.
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
# ARGV are the token, the purge number that LOOK_SCRIPT returned, the lifetime of the record in milliseconds, and the
# record. If the lifetime is 0, the stored record is deleted. If it is negative, the stored record is left as it is.
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
# The only one of KEYS is the lease. ARGV are the token and the lifetime of the lease in milliseconds.
RENEW_SCRIPT = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
"""
# The only one of ARGV is the key that is forgotten. The first command is DEL, which the server accepts even if its
# memory is full. After a script has executed one command that writes, the server accepts all further commands of the
# script.
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
    """A store on the server at ``url``. ``app.store.base.Store`` describes the methods.

    The URL has the form ``redis://[[user]:password@]host[:port][/database]``. A URL that begins with ``rediss://`` may
    also have the options ``?ssl_ca_certs=FILE``, ``ssl_certfile=FILE``, ``ssl_keyfile=FILE`` and
    ``ssl_cert_reqs=none``.

    The constructor opens no connection. Calls open connections when needed, before or after a fork. Any number of
    greenlets may share a store.

    Raises:
        ValueError: the URL, or a file that the URL names, is invalid. The text is one line that does not quote the URL.

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
            # As ``retry`` allows no retries, the only effect of this option is that redis-py closes the connection
            # after this error. ``_call`` explains why that is needed.
            retry_on_error=[ReadOnlyError],
            # Without these two options, redis-py would send further commands whenever it opens a connection: HELLO,
            # CLIENT SETINFO and CLIENT MAINT_NOTIFICATIONS.
            protocol=2,
            driver_info=None,
            encoding_errors="surrogatepass",
            **options,
        )
        self._client: Any = Redis(connection_pool=self._pool)  # redis-py types results as unions
        self._connections = FairSemaphore(MAX_CONNECTIONS)
        #: The number of calls that failed because the server or the network failed.
        self._failures = 0
        self._address = f"redis at {parts.hostname or 'localhost'}:{parts.port or 6379}"
        self._password: str | None = self._pool.connection_kwargs.get("password")

    def get(self, key: str) -> bytes | None:
        """Return the value, or None if there is none."""
        with self._call():
            value: bytes | None = self._client.get(VALUE_PREFIX + key)
            return value

    def put(self, key: str, value: bytes, *, lifetime: float, is_positive: bool) -> None:  # noqa: ARG002
        """Store the value for ``lifetime`` seconds, but at least for a millisecond and at most for a century.

        ``is_positive`` has no effect, because the server decides which keys it evicts.
        """
        with self._call():
            self._client.set(VALUE_PREFIX + key, value, px=_milliseconds(lifetime))

    def look(self, key: str, token: str, seconds: float, now: float) -> Look:
        """Return the record. If there is none, or it is due at ``now``, acquire the lease for ``token``."""
        with self._call():
            record, has_lease, number = self._client.eval(
                LOOK_SCRIPT, 3, *_keys_of(key), token, _milliseconds(seconds), repr(now)
            )
            return Look(None if record is None else record[_DUE.size :], bool(has_lease), int(number))

    def settle(self, key: str, token: str, entry: Entry | None, purge_number: int) -> bool:
        """Release the lease of ``token``, and store ``entry`` unless the key was forgotten after ``purge_number``."""
        lifetime, record = -1, b""
        if entry is not None:
            lifetime = _milliseconds(entry.lifetime) if entry.lifetime > 0 else 0
            record = _DUE.pack(entry.due) + entry.value
        with self._call():
            return bool(self._client.eval(SETTLE_SCRIPT, 3, *_keys_of(key), token, purge_number, lifetime, record))

    def renew_lease(self, key: str, token: str, seconds: float) -> bool:
        """If ``token`` still holds the lease, let it expire ``seconds`` from now. Return whether ``token`` holds it."""
        with self._call():
            return bool(self._client.eval(RENEW_SCRIPT, 1, _keys_of(key)[1], token, _milliseconds(seconds)))

    def forget(self, key: str) -> bool:
        """Delete the record and the lease, and add the key to the invalidations. Return whether there was a record."""
        with self._call():
            return bool(self._client.eval(FORGET_SCRIPT, 3, *_keys_of(key), key))

    def invalidations(self, since: str) -> tuple[str, list[str]]:
        """Return a new cursor, and the keys that were forgotten after ``since``: a thousand at most, oldest first.

        If ``since`` is higher than the ids of all entries, the server has lost entries. The new cursor is then
        ``STREAM_START``, so the next call may return keys that were returned before. A key that is returned twice costs
        one lookup. A key that is never returned would leave a forgotten cover in memory.
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
        """Run the block, which calls the server, with a timeout. Raise StoreError if the block fails.

        Before the block, wait until fewer than ``MAX_CONNECTIONS`` calls are in progress. If an exception interrupts a
        command in the block, redis-py closes the connection. So a late response is never mistaken for the response to
        another command.
        """
        failures = self._failures
        if not self._connections.acquire(QUEUE_TIMEOUT):
            raise StoreOverloaded(f"{self._address}: no connection became free within {QUEUE_TIMEOUT} seconds")
        timeout = gevent.Timeout.start_new(CALL_TIMEOUT)
        try:
            if failures != self._failures:
                # A call has failed during the wait, so this call fails at once. Otherwise the waiting calls would reach
                # their timeouts one after the other.
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
                # The server has become a replica, but its connections stay open. The idle connections are closed,
                # because a new connection may lead to another server, if the host name now has the address of that
                # server.
                self._pool.disconnect(inuse_connections=False)
            if not isinstance(error, ResponseError):
                self._failures += 1
            _clear_frames(error)
            # All classes of exceptions are converted, because bytes that are not a valid Redis response may raise any
            # class of exception in redis-py's parser.
            raise StoreError(f"{self._address}: {self._describe(error)}") from error
        finally:
            timeout.close()
            self._connections.release()
            # The traceback of an expired timeout refers to this frame. If the frame still referred to the timeout, the
            # reference cycle would keep sockets open until the garbage collector runs.
            del timeout

    def _describe(self, error: Exception) -> str:
        """Return the text of the error as one line, with the password replaced by ``***``.

        A server that does not know the command AUTH quotes the command, and with it the password, in its error.
        """
        code = getattr(error, "status_code", None)
        text = str(error) if isinstance(error, (RedisError, OSError)) else f"{type(error).__name__}: {error}"
        line = " ".join(f"{code or ''} {text}".split())
        return line.replace(self._password, "***") if self._password else line


def _clear_frames(error: BaseException | None) -> None:
    """Delete the local variables of the frames in the tracebacks of an error and of its contexts.

    If a connection is refused, a frame of redis-py keeps the error in a local variable. That is a reference cycle.
    """
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__context__


#: The format of the time at which a stored record is due for a refresh. The record follows the time.
_DUE = struct.Struct(">d")


def _keys_of(key: str) -> tuple[str, str, str]:
    """Return the Redis keys of the record, the lease and the purge number of ``key``.

    The braces are a hash tag, which gives the three Redis keys the same hash slot. That is not enough for a Redis
    Cluster, because the scripts also use keys of other slots.
    """
    return f"covers:{{{key}}}:record", f"covers:{{{key}}}:lease", f"covers:{{{key}}}:purge"


class _TLSConnection(Connection):
    """A connection over TLS. All connections share the TLS context that is given to the constructor.

    redis-py's own class creates a context for each connection. It loads the system's certificates into the context,
    which blocks gevent's hub for tens of milliseconds.
    """

    def __init__(self, *, context: ssl.SSLContext, **options: Any) -> None:
        super().__init__(**options)  # type: ignore[no-untyped-call]  # redis-py types only its public methods
        self._context = context

    def _connect(self) -> Any:
        sock = super()._connect()  # type: ignore[no-untyped-call]  # as above
        try:
            # The handshake is a separate step, because a timeout during a handshake in wrap_socket would leak the
            # socket.
            sock = self._context.wrap_socket(sock, server_hostname=self.host, do_handshake_on_connect=False)
            sock.do_handshake()
        except BaseException:
            sock.close()
            raise
        return sock


def _parse_url(url: str) -> SplitResult:
    """Return the parts of the URL. Raises ValueError if the URL is invalid.

    redis-py does not check all of this. It ignores an invalid database number, and uses any option of the URL as an
    argument of the connection.
    """
    try:
        parts = urlsplit(url)
        if parts.port == 0:
            raise ValueError
    except ValueError:
        # If the password contains a "/", the text of urllib's error quotes a part of the password.
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
    """Return a time to live in milliseconds, which is at least 1 and at most ``MAX_LIFETIME_MS``."""
    return max(1, int(min(MAX_LIFETIME_MS, seconds * 1000)))
