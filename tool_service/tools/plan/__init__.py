"""`plan`: lines that call other tools, each as soon as what it names is there."""
