-- Health of a ManagedUser, an OAuthClient and a ClusterOAuthClient. It goes by the conditions Ready, Reconciling and Stalled and knows
-- one reason only, Suspended; so it holds for reasons that are not there yet.
local generation = obj.metadata.generation
local status = obj.status or {}

-- What a condition said of an older spec does not count.
local conditions = {}
for _, condition in ipairs(status.conditions or {}) do
  if condition.observedGeneration == nil or condition.observedGeneration == generation then
    conditions[condition.type] = condition
  end
end

local function is(kind, value)
  return conditions[kind] ~= nil and conditions[kind].status == value
end

-- health returns the verdict, with the first message that there is.
local function health(verdict, ...)
  for _, message in ipairs({...}) do
    if message ~= "" then
      return {status = verdict, message = message}
    end
  end
end

-- saying returns the message of the first of some conditions that has a status, or nothing.
local function saying(value, ...)
  for _, kind in ipairs({...}) do
    if is(kind, value) then
      return conditions[kind].message or ""
    end
  end
  return ""
end

local trouble = saying("False", "Ready")
local suspended = is("Ready", "False") and conditions["Ready"].reason == "Suspended"

if obj.metadata.deletionTimestamp ~= nil then
  if is("Stalled", "True") then
    return health("Degraded", trouble, saying("True", "Stalled"), "The deletion waits for somebody to act")
  end
  if suspended then
    return health("Suspended", trouble, "The deletion waits while reconcilePolicy is Suspend")
  end
  return health("Progressing", trouble, "The deletion is under way")
end

-- A spec that has not been dealt with is never healthy, and what stands in its way is told.
if status.observedGeneration ~= generation then
  return health("Progressing", trouble, saying("False", "Synced", "CredentialsReady", "TokensReady"), "The operator has not dealt with the spec yet")
end

if is("Stalled", "True") then
  return health("Degraded", trouble, saying("True", "Stalled"), "Somebody has to act; see the conditions")
end
if is("Reconciling", "True") then
  return health("Progressing", trouble, saying("True", "Reconciling"), "The operator is at work")
end
if is("Ready", "True") then
  -- A quota that is used up, or a server that is down, harms nobody who is Ready; it is told all the same.
  return health("Healthy", saying("False", "Synced", "CredentialsReady", "TokensReady"), saying("True", "Ready"), "Ready")
end
if suspended then
  return health("Suspended", trouble, "Nothing is done while reconcilePolicy is Suspend")
end
if is("Ready", "False") then
  return health("Degraded", trouble, "Not Ready; see the conditions")
end
return health("Progressing", "The operator has not said yet whether this is Ready")
