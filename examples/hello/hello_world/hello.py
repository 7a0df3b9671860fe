"""Greets the one named by the parameter `name`."""

from ferris_ef import context

name = context.params.get("name") or "world"
greeting = f"Hello, {name}!"

print(greeting)
context.events.send("hello.greeted", data={"name": name, "greeting": greeting})
