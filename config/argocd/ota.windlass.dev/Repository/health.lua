-- Health of a Repository: can it publish.
local hs = {}
local status = obj.status or {}
local ready, stalled
for _, c in ipairs(status.conditions or {}) do
  if c.type == "Ready" then
    ready = c
  elseif c.type == "Stalled" and c.status == "True" then
    stalled = c
  end
end

if (status.observedGeneration or -1) < (obj.metadata.generation or 0) then
  hs.status = "Progressing"
  hs.message = "Waiting for the manager to act on this change"
  if ready ~= nil and ready.observedGeneration == obj.metadata.generation and (ready.message or "") ~= "" then
    hs.message = hs.message .. ": " .. ready.message
  end
  return hs
end

local text = ""
if ready ~= nil then
  text = ready.message or ""
end

if stalled ~= nil then
  hs.status = "Degraded"
  hs.message = "The Repository is stalled by " .. stalled.reason
elseif ready ~= nil and ready.status == "True" then
  hs.status = "Healthy"
  hs.message = "The Repository publishes"
  if status.halt ~= nil then
    hs.status = "Suspended"
    hs.message = "All Channels of the Repository are halted"
    text = status.halt.reason or text
  elseif ready.reason == "Halted" then
    hs.status = "Suspended"
    hs.message = "All Channels of the Repository are halted"
  end
else
  hs.status = "Progressing"
  hs.message = "The Repository is not ready yet"
  if ready ~= nil then
    hs.message = hs.message .. " (" .. ready.reason .. ")"
  end
end
if text ~= "" then
  hs.message = hs.message .. ": " .. text
end
return hs
