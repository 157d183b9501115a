"""The dictionary store passes the contract, so stories that are told with it hold for the real ones."""

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
