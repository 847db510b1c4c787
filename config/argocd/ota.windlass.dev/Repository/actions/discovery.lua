-- What can be done with all Channels of the Repository as they are now. The manager looks again, and refuses what does not fit.
local halted = (obj.status or {}).halt ~= nil
local actions = {}
actions["halt"] = {
  ["disabled"] = halted,
  ["displayName"] = "Halt all Channels",
  ["params"] = {{["name"] = "reason"}},
}
actions["unhalt"] = {
  ["disabled"] = not halted,
  ["displayName"] = "End the halt of all Channels",
  ["params"] = {{["name"] = "reason"}},
}
return actions
