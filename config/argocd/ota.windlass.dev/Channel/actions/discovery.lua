-- What can be done with the Channel as it is now. The manager looks again, and refuses what does not fit.
local status = obj.status or {}
local actions = {}
actions["halt"] = {
  ["disabled"] = status.halt ~= nil,
  ["displayName"] = "Halt: offer devices nothing",
  ["params"] = {{["name"] = "reason"}},
}
actions["unhalt"] = {
  ["disabled"] = status.halt == nil,
  ["displayName"] = "End the halt",
  ["params"] = {{["name"] = "reason"}},
}
actions["rollback"] = {
  ["disabled"] = status.stable == nil and status.candidate == nil,
  ["displayName"] = "Roll back",
  ["params"] = {{["name"] = "to"}, {["name"] = "reason"}},
}
return actions
