-- Health of a Rollout, by the reason of its condition Ready. The annotation ota.windlass.dev/argocd-health: FirstStep makes it Healthy
-- as soon as devices are offered the bundle, for syncs with waves after it.
local hs = {}
local status = obj.status or {}
local release = status.release or {}
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

local reason, text = "Progressing", ""
if ready ~= nil then
  reason, text = ready.reason, ready.message or ""
end
-- Argo CD looks again when the health changes, not its sentence: that of a rollback is final from the start.
if reason == "RollingBack" and (release.reason or "") ~= "" then
  text = release.reason
end

local suspended = {
  Paused = "is paused",
  Holding = "is held, since the analysis cannot tell",
  Halted = "is held",
  WaitingForApproval = "waits for approval",
}
local degraded = {
  RollingBack = "is taken back",
  RolledBack = "is taken back",
  Aborted = "is taken back",
  BundleRefused = "is refused",
  BundleNotAdmitted = "is not admitted",
  InvalidSpec = "cannot be released as the spec is",
}

local lead
if stalled ~= nil or degraded[reason] ~= nil then
  hs.status = "Degraded"
  lead = degraded[reason] or "is stalled"
elseif suspended[reason] ~= nil then
  hs.status = "Suspended"
  lead = suspended[reason]
elseif ready ~= nil and ready.status == "True" then
  hs.status = "Healthy"
  lead = "is stable"
else
  hs.status = "Progressing"
  lead = "is on its way"
end

local spec = obj.spec or {}
local wanted = (spec.bundleRef or {}).name
local bundle = release.bundle or wanted or ""
hs.message = "Bundle " .. bundle .. " " .. lead .. " on Channel " .. ((spec.channelRef or {}).name or "")
if text ~= "" and text ~= bundle .. " " .. lead then
  hs.message = hs.message .. ": " .. text
end

-- A later stage than the first means that the first was live before it.
local live = release.weightCommittedAt ~= nil or (release.stage or 0) > 1
local asked = (obj.metadata.annotations or {})["ota.windlass.dev/argocd-health"] == "FirstStep"
if asked and live and release.bundle == wanted and (hs.status == "Progressing" or hs.status == "Suspended") then
  hs.status = "Healthy"
end
return hs
