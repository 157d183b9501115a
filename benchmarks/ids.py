"""Which ids are asked for: of ten digits, so that all calls and answers have one length, and fit for XML-RPC's int."""

#: Known ids are asked for once before anything is measured.
FIRST_KNOWN, KNOWN = 1_000_000_000, 1_000

#: Where the ids begin that nobody has asked for before, for each load that has such.
FIRST_NEW = {"cold": 1_100_000_000, "mixed": 1_200_000_000, "shop": 1_250_000_000}

#: The shop leaves who asks for these and all above waiting.
FIRST_HELD = 1_300_000_000
