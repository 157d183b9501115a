"""The stores: one contract suite that each passes, and what is particular to each."""
