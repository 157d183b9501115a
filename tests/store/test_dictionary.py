"""The dictionary store passes the contract, so tests that use it are valid for the real stores."""

import pytest

from tests.store.contract import Opener, StoreContract
from tests.store.dictionary import DictionaryStore, Shared


class TestDictionaryStore(StoreContract):
    """The contract."""

    @pytest.fixture
    def open_store(self) -> Opener:
        """Open stores on one dictionary."""
        shared = Shared()
        return lambda: DictionaryStore(shared)
