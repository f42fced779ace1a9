variable "name" {
  description = "Name of the lake; the trail is <name>-audit, the bucket <name>-audit-<bucket_suffix>."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,22}[a-z0-9]$", var.name))
    error_message = "name: expected 3 to 24 lower-case letters, digits or hyphens, a letter first and no hyphen last."
  }
}

variable "bucket_suffix" {
  description = "What makes the audit bucket's name unique in all of AWS; account id and region when null."
  type        = string
  default     = null

  validation {
    condition     = var.bucket_suffix == null || can(regex("^[a-z0-9][a-z0-9-]{0,25}[a-z0-9]$", var.bucket_suffix))
    error_message = "bucket_suffix: expected 2 to 27 lower-case letters, digits or hyphens, no hyphen first or last."
  }
}

variable "audit_key_arn" {
  description = "ARN of the key of trail, log group and topic; its policy must admit those services (module keys)."
  type        = string

  validation {
    condition     = can(regex("^arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+$", var.audit_key_arn))
    error_message = "audit_key_arn: expected the ARN of a key (arn:aws:kms:<region>:<account>:key/<id>)."
  }
}

variable "buckets" {
  description = "Buckets whose reads and writes are recorded, by layer: the output layers of the module warehouse."
  type = map(object({
    bucket = string
    arn    = string
  }))

  validation {
    condition     = length(var.buckets) > 0
    error_message = "buckets: expected at least one bucket to record."
  }
}

variable "data_events" {
  description = "Which calls on objects are recorded: all, or writes (who deleted what, but not who read it). AWS bills them by number."
  type        = string
  default     = "all"

  validation {
    condition     = contains(["all", "writes"], var.data_events)
    error_message = "data_events: expected `all` or `writes`."
  }
}

variable "multi_region" {
  description = "Whether the trail records management calls in every region; IAM's are made in one region, whatever the lake's is."
  type        = bool
  default     = true
}

variable "audit_archive_after_days" {
  description = "Age in days at which records go to Glacier Flexible Retrieval."
  type        = number
  default     = 90

  validation {
    condition     = var.audit_archive_after_days >= 1 && floor(var.audit_archive_after_days) == var.audit_archive_after_days
    error_message = "audit_archive_after_days: expected whole days, 1 or more."
  }
}

variable "audit_retention_days" {
  description = "Days that records are kept in the audit bucket."
  type        = number
  default     = 730

  validation {
    condition     = var.audit_retention_days >= var.audit_archive_after_days + 90 && floor(var.audit_retention_days) == var.audit_retention_days
    error_message = "audit_retention_days: expected whole days, at least 90 after audit_archive_after_days (Glacier bills 90 days anyway)."
  }
}

variable "object_lock" {
  description = "Nobody deletes or overwrites a record for so many days: GOVERNANCE (those with a special right may), COMPLIANCE (not even the account's owner). Can only be set when the bucket is made; null for none."
  type = object({
    mode = string
    days = number
  })
  default = null

  validation {
    condition     = var.object_lock == null || contains(["GOVERNANCE", "COMPLIANCE"], try(var.object_lock.mode, ""))
    error_message = "object_lock.mode: expected GOVERNANCE or COMPLIANCE."
  }
  validation {
    condition     = var.object_lock == null || try(var.object_lock.days >= 1 && var.object_lock.days <= var.audit_retention_days && floor(var.object_lock.days) == var.object_lock.days, false)
    error_message = "object_lock.days: expected whole days, 1 to audit_retention_days."
  }
}

variable "log_retention_days" {
  description = "Days that the trail's events are kept in the log group, for alarms and queries."
  type        = number
  default     = 365

  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653], var.log_retention_days)
    error_message = "log_retention_days: CloudWatch takes 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288 or 3653."
  }
}

variable "emails" {
  description = "Addresses that alarms and budgets write to; each must confirm a message of AWS first."
  type        = set(string)
  default     = []

  validation {
    condition     = alltrue([for email in var.emails : can(regex("^[^@\\s]+@[^@\\s]+\\.[^@\\s]+$", email))])
    error_message = "emails: expected addresses like someone@example.org."
  }
}

variable "alarms" {
  description = "Whether there are alarms."
  type        = bool
  default     = true
}

variable "request_metrics" {
  description = "Whether S3 counts requests and errors by bucket, which the alarms on its errors need. CloudWatch bills each metric."
  type        = bool
  default     = true
}

variable "denied_calls_max" {
  description = "Denied calls in five minutes above which an alarm is raised."
  type        = number
  default     = 20

  validation {
    condition     = var.denied_calls_max >= 0
    error_message = "denied_calls_max: expected 0 or more."
  }
}

variable "monthly_budget_usd" {
  description = "Budget of the account for a month in US dollars, told at 80 % and 100 % and when the forecast exceeds it; null for none."
  type        = number
  default     = null

  validation {
    condition     = var.monthly_budget_usd == null || try(var.monthly_budget_usd > 0, false)
    error_message = "monthly_budget_usd: expected more than 0; null for no budget."
  }
}

variable "budget_tag" {
  description = "Count only the costs of resources with this tag, which must be activated as a cost allocation tag; null for the whole account."
  type        = object({ key = string, value = string })
  default     = null
}

variable "maintenance" {
  description = <<-TEXT
    When the lake's maintenance runs and what runs it, either an ECS task or a state machine; null for no schedule.
    expression: cron(…) or rate(…), in timezone. window_minutes: it starts at some minute within so many.
    ecs: cluster, task definition, network, and the roles that the task definition names (they are passed on).
    state_machine_arn: a Step Functions state machine. input: what the target is given, such as ECS overrides.
  TEXT
  type = object({
    expression     = optional(string, "cron(0 3 * * ? *)")
    timezone       = optional(string, "UTC")
    window_minutes = optional(number, 15)
    retries_max    = optional(number, 2)
    input          = optional(string)
    ecs = optional(object({
      cluster_arn         = string
      task_definition_arn = string
      subnet_ids          = set(string)
      security_group_ids  = optional(set(string), [])
      passed_role_arns    = set(string)
      platform_version    = optional(string, "LATEST")
    }))
    state_machine_arn = optional(string)
  })
  default = null

  validation {
    condition     = var.maintenance == null || (try(var.maintenance.ecs, null) == null) != (try(var.maintenance.state_machine_arn, null) == null)
    error_message = "maintenance: name what runs it, either ecs or state_machine_arn; null for no schedule."
  }
  validation {
    condition     = var.maintenance == null || can(regex("^(cron|rate|at)\\(.+\\)$", var.maintenance.expression))
    error_message = "maintenance.expression: expected cron(…), rate(…) or at(…), such as cron(0 3 * * ? *)."
  }
  validation {
    condition     = var.maintenance == null || try(var.maintenance.window_minutes >= 0 && var.maintenance.window_minutes <= 1440, false)
    error_message = "maintenance.window_minutes: expected 0 to 1440."
  }
  validation {
    condition     = var.maintenance == null || try(var.maintenance.retries_max >= 0 && var.maintenance.retries_max <= 185, false)
    error_message = "maintenance.retries_max: expected 0 to 185."
  }
  validation {
    condition     = var.maintenance == null || try(var.maintenance.input, null) == null || can(jsondecode(var.maintenance.input))
    error_message = "maintenance.input: expected JSON."
  }
  validation {
    condition     = try(var.maintenance.ecs, null) == null || can(regex("^arn:[a-z-]+:ecs:[a-z0-9-]+:[0-9]{12}:task-definition/[^:]+(:[0-9]+)?$", var.maintenance.ecs.task_definition_arn))
    error_message = "maintenance.ecs.task_definition_arn: expected the ARN of a task definition, with or without a revision."
  }
  validation {
    condition     = try(var.maintenance.ecs, null) == null || alltrue([for arn in try(var.maintenance.ecs.passed_role_arns, []) : !strcontains(arn, "*")])
    error_message = "maintenance.ecs.passed_role_arns: expected the ARNs of the task's roles, without wildcards."
  }
}

variable "path" {
  description = "IAM path of the roles."
  type        = string
  default     = "/lakehouse/"
}

variable "permissions_boundary_arn" {
  description = "Policy that bounds the rights of the roles; none when null."
  type        = string
  default     = null
}

variable "force_destroy" {
  description = "Let destroy delete an audit bucket that holds records. For trials only."
  type        = bool
  default     = false
}

variable "tags" {
  description = "Tags of every resource that takes tags."
  type        = map(string)
  default     = {}
}
