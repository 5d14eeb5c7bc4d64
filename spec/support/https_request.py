"""One HTTPS request from an address of its own: https_request.py PORT SOURCE CA PATH [NAME:VALUE ...].

Prints the status and then the body.
"""
import http.client
import ssl
import sys

port, source, ca, path, *headers = sys.argv[1:]
connection = http.client.HTTPSConnection(
    "localhost", int(port), source_address=(source, 0), context=ssl.create_default_context(cafile=ca))
connection.request("GET", path, headers=dict(header.split(":", 1) for header in headers))
answer = connection.getresponse()
print(answer.status, answer.read().decode())
