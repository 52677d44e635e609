from tests.ingestion.media.fixtures import folder_store, moto_endpoint, moto_store, rclone_store, store

__all__ = ["folder_store", "moto_endpoint", "moto_store", "rclone_store", "store"]
