"""TLS over TCP as asyncio pumps: bytes of a peer in, bytes for a peer out.

The server side (`listener`, `server_connection`, `server_tls`) lets any client certificate
through and hands it to the application, which alone can answer with a CONNACK or an HTTP status.
`server_websocket` gives an application the same over WebSocket, once HTTP has agreed on it.
The client side (`client`, `client_tls`) verifies the server fully and reports each stage.
"""
