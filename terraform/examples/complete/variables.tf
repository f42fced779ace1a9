variable "name" {
  description = "Name of the lake."
  type        = string
  default     = "lake"
}

variable "region" {
  description = "Region of everything."
  type        = string
  default     = "eu-central-1"
}

variable "trusted" {
  description = "Who may take the roles engine, ingestion, maintenance and reader (see the module access)."
  type = map(object({
    principals  = optional(list(string), [])
    services    = optional(list(string), [])
    external_id = optional(string)
    web_identity = optional(object({
      provider_arn = string
      claims       = map(string)
    }))
  }))
}

variable "admins" {
  description = "ARNs of IAM users or roles that administer Lake Formation; the one that runs Terraform must be among them."
  type        = set(string)
  default     = []

  validation {
    condition     = !var.features.lake_formation || length(var.admins) > 0
    error_message = "admins: Lake Formation needs administrators; name the role that runs Terraform, or switch features.lake_formation off."
  }
}

variable "features" {
  description = <<-TEXT
    What is made, by name; all on by default. Off against emulators of AWS, because
    lake_formation: only some know it (moto does, ministack does not).
    tag_grants: moto takes grants by LF-tags and then fails to list them.
    data_cell_filters: none knows them; the tests of the module governance check them without AWS.
    glue_catalog_encryption: ministack does not know the setting, moto does.
    athena: moto does not know workgroups, ministack does.
    budget: moto does not know budgets, ministack does.
    request_metrics: ministack does not know metrics of buckets.
    alarms: all emulators know them; ministack loses fields of theirs, moto does not.
  TEXT
  type = object({
    lake_formation          = optional(bool, true)
    tag_grants              = optional(bool, true)
    data_cell_filters       = optional(bool, true)
    glue_catalog_encryption = optional(bool, true)
    athena                  = optional(bool, true)
    budget                  = optional(bool, true)
    alarms                  = optional(bool, true)
    request_metrics         = optional(bool, true)
  })
  default = {}
}

variable "data_filters" {
  description = "Rows and columns of a table that roles may read, by name (see the module governance). The tables must exist."
  type = map(object({
    database       = string
    table          = string
    row_filter     = optional(string)
    columns        = optional(set(string))
    hidden_columns = optional(list(string), [])
    roles          = set(string)
  }))
  default = {}

  validation {
    condition     = alltrue(flatten([for filter in values(var.data_filters) : [for role in filter.roles : contains(keys(var.trusted), role)]]))
    error_message = "data_filters: every role must be in trusted."
  }
}

variable "audit_object_lock" {
  description = "Nobody deletes a record of the audit trail for so many days (see the module observability); null for none."
  type        = object({ mode = string, days = number })
  default     = null
}

variable "emails" {
  description = "Addresses that alarms and the budget write to."
  type        = set(string)
  default     = []
}

variable "monthly_budget_usd" {
  description = "Budget of the account for a month in US dollars."
  type        = number
  default     = 200
}

variable "maintenance" {
  description = "When maintenance runs and what runs it (see the module observability); null for no schedule."
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
}

variable "force_destroy" {
  description = "Let destroy delete buckets and a workgroup that are not empty. For trials only."
  type        = bool
  default     = false
}
