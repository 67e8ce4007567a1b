"""What Headrace is compared with, each under the same conditions as Headrace itself."""
