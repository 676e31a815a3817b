"""Where pictures lie: in a folder, or in archives there; what each place must know and give."""
