"""Reading: filters, pages, groups, the live tail and exports. Asks the ports; knows no HTTP and no SQL."""
