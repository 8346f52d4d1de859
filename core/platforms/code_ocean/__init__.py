"""Code Ocean as a platform: its REST API by its own SDK, S3 by boto3."""
