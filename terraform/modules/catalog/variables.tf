variable "name" {
  description = "Name of the lake; the Athena workgroup is called so."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,22}[a-z0-9]$", var.name))
    error_message = "name: expected 3 to 24 lower-case letters, digits or hyphens, a letter first and no hyphen last."
  }
}

variable "databases" {
  description = "Glue databases by name: where new tables lie (an s3:// folder, usually a layer's tables_uri and the name), and what they hold."
  type = map(object({
    location    = string
    description = optional(string, "")
  }))

  validation {
    condition     = length(var.databases) > 0 && alltrue([for name in keys(var.databases) : can(regex("^[a-z][a-z0-9_]{0,127}$", name))])
    error_message = "databases: expected at least one name of lower-case letters, digits or underscores, a letter first: Glue keeps lower case, and Athena wants quotes for anything else."
  }
  validation {
    condition     = alltrue([for database in values(var.databases) : can(regex("^s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]/(.+/)?$", database.location))])
    error_message = "databases: a location is an s3:// folder that ends in a slash, such as s3://my-lake-silver/tables/."
  }
  validation {
    condition = alltrue(flatten([
      for name, database in var.databases : [
        for other, same in var.databases : name == other || !startswith(database.location, same.location)
      ]
    ]))
    error_message = "databases: no location may be the same as another's or lie inside it; removing orphans of one would see the files of the other."
  }
}

variable "after" {
  description = "Anything that has to exist before the databases: with Lake Formation its settings, or every database is open to all who have IAM rights."
  type        = any
  default     = null
}

variable "encryption" {
  description = "Encrypt the account's Glue catalog in this region, metadata and connection passwords, with this key; null leaves the setting alone. There is one such setting for all databases of the account."
  type        = object({ kms_key_arn = string })
  default     = null

  validation {
    condition     = var.encryption == null || can(regex("^arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+$", var.encryption.kms_key_arn))
    error_message = "encryption.kms_key_arn: expected the ARN of a key (arn:aws:kms:<region>:<account>:key/<id>)."
  }
}

variable "athena" {
  description = "The Athena workgroup: where results go (an s3:// folder), the key that encrypts them, the most bytes one query may scan, and for how long a result may be used again. Null for no workgroup."
  type = object({
    results_location      = string
    kms_key_arn           = string
    scanned_bytes_max     = optional(number, 1099511627776)
    reuse_results_minutes = optional(number, 60)
    force_destroy         = optional(bool, false)
  })
  default = null

  validation {
    condition     = var.athena == null || can(regex("^s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]/(.+/)?$", var.athena.results_location))
    error_message = "athena.results_location: expected an s3:// folder that ends in a slash."
  }
  validation {
    condition     = var.athena == null || can(regex("^arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+$", var.athena.kms_key_arn))
    error_message = "athena.kms_key_arn: expected the ARN of a key (arn:aws:kms:<region>:<account>:key/<id>)."
  }
  validation {
    condition     = var.athena == null || try(var.athena.scanned_bytes_max >= 10485760, false)
    error_message = "athena.scanned_bytes_max: Athena takes 10 MB (10485760) or more."
  }
  validation {
    condition     = var.athena == null || try(var.athena.reuse_results_minutes >= 0 && var.athena.reuse_results_minutes <= 10080, false)
    error_message = "athena.reuse_results_minutes: Athena reuses results for 0 (never) to 10080 minutes (7 days)."
  }
  validation {
    condition     = var.athena == null || alltrue([for database in values(var.databases) : !startswith(try(var.athena.results_location, ""), database.location)])
    error_message = "athena.results_location: results expire, so they must not lie in the folder of a database."
  }
}

variable "sql_name" {
  description = "Name of the catalog in SQL, as in SELECT … FROM <sql_name>.<database>.<table>."
  type        = string
  default     = "glue_catalog"

  validation {
    condition     = can(regex("^[a-z][a-z0-9_]{0,62}$", var.sql_name))
    error_message = "sql_name: expected lower-case letters, digits or underscores, a letter first, so that SQL needs no quotes."
  }
}

variable "warehouse" {
  description = "An s3:// folder for tables of databases that have no location of their own; by default the location of the first database."
  type        = string
  default     = null

  validation {
    condition     = var.warehouse == null || can(regex("^s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]/(.+/)?$", var.warehouse))
    error_message = "warehouse: expected an s3:// folder that ends in a slash."
  }
}

variable "table_kms_key_arn" {
  description = "Key that tables are written with, for the settings file; null leaves it to the bucket's default."
  type        = string
  default     = null

  validation {
    condition     = var.table_kms_key_arn == null || can(regex("^arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+$", var.table_kms_key_arn))
    error_message = "table_kms_key_arn: expected the ARN of a key (arn:aws:kms:<region>:<account>:key/<id>)."
  }
}

variable "tags" {
  description = "Tags of every resource that takes tags."
  type        = map(string)
  default     = {}
}
