"""The admin API ``/admin/v1``: bearer tokens, one error shape, the services behind it."""
