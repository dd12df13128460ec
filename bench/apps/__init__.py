"""What is measured beside the service: each a file, run by a server or as a script, on the measured core."""
