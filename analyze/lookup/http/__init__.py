"""HTTP: the socket, connections, who may come in and how many, parameters, errors."""
