"""The item ids of the benchmarks. All have ten digits, so that all messages have one length, and fit in an i4."""

#: Cached ids are looked up once before the measurement.
FIRST_CACHED, CACHED_COUNT = 1_000_000_000, 1_000

#: The first of the ids that were never looked up before, for each load that needs such ids.
FIRST_NEW = {"cold": 1_100_000_000, "mixed": 1_200_000_000, "origin": 1_250_000_000}

#: The origin never responds to requests for these and all higher ids.
FIRST_UNANSWERED = 1_300_000_000
