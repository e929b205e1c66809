"""What all tests share."""

pytest_plugins = ("tests.shop_lab",)
