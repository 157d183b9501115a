"""Rules as data: which sources there are, and how a page becomes a cover's URL. No I/O in here."""
