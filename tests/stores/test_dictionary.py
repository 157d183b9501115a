"""The dictionary store passes the contract, so stories that are told with it hold for the real ones."""

import pytest

from tests.stores.contract import Opener, StoreContract
from tests.stores.dictionary import DictionaryStore, Shared


class TestDictionaryStore(StoreContract):
    """The contract."""

    @pytest.fixture
    def open_store(self) -> Opener:
        """Open stores on one dictionary."""
        shared = Shared()
        return lambda: DictionaryStore(shared)
