"""A Bitrix24 portal on your own machine: the other side of the contract,
strict where the platform is strict."""
