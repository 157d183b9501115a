"""The lookup of a cover: which steps run, in which order, and how long a result stays fresh."""
