"""Azure Blob Storage, by Microsoft's asynchronous SDK."""

from refstore.backends.azure.backend import AzureBackend

__all__ = ["AzureBackend"]
