"""The page and the REST interface: routes, templates, static files, words, the map."""
