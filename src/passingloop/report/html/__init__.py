"""The report on usage as a page for browsers. No I/O but for the parts of the page itself."""
