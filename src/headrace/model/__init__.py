"""The things Headrace speaks of: frozen records, no behaviour beyond their own consistency."""
