variable "name" {
  description = "Name of the lake; buckets are <name>-<layer>-<bucket_suffix>."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,22}[a-z0-9]$", var.name))
    error_message = "name: expected 3 to 24 lower-case letters, digits or hyphens, a letter first and no hyphen last."
  }
}

variable "bucket_suffix" {
  description = "What makes the buckets' names unique in all of AWS; account id and region when null."
  type        = string
  default     = null

  validation {
    condition     = var.bucket_suffix == null || can(regex("^[a-z0-9][a-z0-9-]{0,25}[a-z0-9]$", var.bucket_suffix))
    error_message = "bucket_suffix: expected 2 to 27 lower-case letters, digits or hyphens, no hyphen first or last."
  }
}

variable "layers" {
  description = "Buckets of tables by layer. With landing, the bucket also takes raw source files below landing_prefix."
  type        = map(object({ landing = optional(bool, false) }))
  default = {
    bronze = { landing = true }
    silver = {}
    gold   = {}
  }

  validation {
    condition     = length(var.layers) > 0 && alltrue([for layer in keys(var.layers) : can(regex("^[a-z][a-z0-9]{0,7}$", layer))])
    error_message = "layers: expected at least one name of 1 to 8 lower-case letters or digits, a letter first."
  }
  validation {
    condition     = !contains(keys(var.layers), "results")
    error_message = "layers: `results` is the bucket of query results; take another name."
  }
}

variable "table_prefix" {
  description = "Prefix of all Iceberg tables, metadata and data. No rule ever moves or expires a current object here."
  type        = string
  default     = "tables/"

  validation {
    condition     = can(regex("^([A-Za-z0-9_.=-]+/)+$", var.table_prefix))
    error_message = "table_prefix: expected folders that each end in a slash, such as `tables/`, and not the whole bucket."
  }
}

variable "landing_prefix" {
  description = "Prefix of raw source files, which age and are deleted; it must hold no table."
  type        = string
  default     = "landing/"

  validation {
    condition     = can(regex("^([A-Za-z0-9_.=-]+/)+$", var.landing_prefix))
    error_message = "landing_prefix: expected folders that each end in a slash, such as `landing/`, and not the whole bucket."
  }
  validation {
    condition     = !startswith(var.table_prefix, var.landing_prefix) && !startswith(var.landing_prefix, var.table_prefix)
    error_message = "landing_prefix: files of landing are deleted by age, so it and table_prefix must not contain one another."
  }
}

variable "landing_glacier_after_days" {
  description = "Age in days at which files of landing go to Glacier Flexible Retrieval."
  type        = number
  default     = 90

  validation {
    condition     = var.landing_glacier_after_days >= 1 && floor(var.landing_glacier_after_days) == var.landing_glacier_after_days
    error_message = "landing_glacier_after_days: expected whole days, 1 or more."
  }
}

variable "landing_delete_after_days" {
  description = "Age in days at which files of landing are deleted; Glacier bills each file for 90 days at least."
  type        = number
  default     = 365

  validation {
    condition     = var.landing_delete_after_days >= var.landing_glacier_after_days + 90 && floor(var.landing_delete_after_days) == var.landing_delete_after_days
    error_message = "landing_delete_after_days: expected whole days, at least 90 after landing_glacier_after_days (Glacier bills 90 days anyway)."
  }
}

variable "noncurrent_days" {
  description = "Days that overwritten and deleted objects can be had back. Keep it longer than it takes to notice a wrong deletion."
  type        = number
  default     = 30

  validation {
    condition     = var.noncurrent_days >= 7 && floor(var.noncurrent_days) == var.noncurrent_days
    error_message = "noncurrent_days: expected whole days, 7 or more: it is the way back after a wrong deletion."
  }
}

variable "incomplete_upload_days" {
  description = "Days after which the parts of an upload that was never finished are deleted."
  type        = number
  default     = 7

  validation {
    condition     = var.incomplete_upload_days >= 1 && floor(var.incomplete_upload_days) == var.incomplete_upload_days
    error_message = "incomplete_upload_days: expected whole days, 1 or more."
  }
}

variable "remove_lone_delete_markers" {
  description = "Remove delete markers below table_prefix that have no version left. They hold no data, but many of them slow listings down."
  type        = bool
  default     = false
}

variable "query_results" {
  description = "Whether there is a bucket of query results (Athena's), whose objects expire; null for none."
  type        = object({ expire_after_days = optional(number, 30) })
  default     = {}

  validation {
    condition     = var.query_results == null || try(var.query_results.expire_after_days >= 1 && floor(var.query_results.expire_after_days) == var.query_results.expire_after_days, false)
    error_message = "query_results.expire_after_days: expected whole days, 1 or more."
  }
}

variable "kms_key_arn" {
  description = "ARN of the key that encrypts every object. Objects of another key or without one are refused."
  type        = string

  validation {
    condition     = can(regex("^arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+$", var.kms_key_arn))
    error_message = "kms_key_arn: expected the ARN of a key (arn:aws:kms:<region>:<account>:key/<id>), neither its id nor an alias: the bucket policy compares ARNs."
  }
}

variable "access_log_bucket" {
  description = "Name of a bucket that takes S3's server access logs; none when null (CloudTrail data events say who read what)."
  type        = string
  default     = null
}

variable "force_destroy" {
  description = "Let destroy delete buckets that hold objects. For trials only: all versions go with them."
  type        = bool
  default     = false
}

variable "tags" {
  description = "Tags of every resource that takes tags."
  type        = map(string)
  default     = {}
}
