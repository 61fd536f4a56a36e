"""How training ends: test, export and result; or a failure, in words."""
