-- Health of a Channel: is what it serves valid and published. A release that is under way is the health of its Rollout.
local hs = {}
local status = obj.status or {}
local ready, stalled, serving
for _, c in ipairs(status.conditions or {}) do
  if c.type == "Ready" then
    ready = c
  elseif c.type == "Serving" then
    serving = c
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
  hs.message = "The Channel is stalled by " .. stalled.reason
elseif ready ~= nil and ready.reason == "Halted" then
  hs.status = "Suspended"
  hs.message = "The Channel is halted, devices are offered nothing"
  if serving ~= nil and (serving.message or "") ~= "" then
    text = serving.message
  end
elseif ready ~= nil and ready.status == "True" then
  hs.status = "Healthy"
  hs.message = "Serving"
  if status.stable ~= nil then
    hs.message = hs.message .. " " .. status.stable.version
  else
    hs.message = hs.message .. " the bundle that is embedded in the app"
  end
  if status.deviation ~= nil then
    text = status.deviation.message or text
  end
else
  hs.status = "Progressing"
  hs.message = "The Channel is not published yet"
end
if text ~= "" then
  hs.message = hs.message .. ": " .. text
end
return hs
