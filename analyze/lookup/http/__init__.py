"""HTTP: the socket, connections, the guard and limits of requests, parameters, errors."""
