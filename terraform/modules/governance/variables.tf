variable "name" {
  description = "Name of the lake; the role that Lake Formation reads the buckets with is <name>-lake-formation."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,22}[a-z0-9]$", var.name))
    error_message = "name: expected 3 to 24 lower-case letters, digits or hyphens, a letter first and no hyphen last."
  }
}

variable "admins" {
  description = "ARNs of IAM users or roles that administer Lake Formation; the one that runs Terraform must be among them, or it cannot grant."
  type        = set(string)

  validation {
    condition     = length(var.admins) > 0 && alltrue([for arn in var.admins : can(regex("^arn:[a-z-]+:iam::[0-9]{12}:(user|role)/[^*]+$", arn))])
    error_message = "admins: expected at least one ARN of an IAM user or role (arn:aws:iam::<account>:role/<name>), without wildcards."
  }
}

variable "read_only_admins" {
  description = "ARNs of IAM users or roles that see all permissions and change none."
  type        = set(string)
  default     = []

  validation {
    condition     = alltrue([for arn in var.read_only_admins : can(regex("^arn:[a-z-]+:iam::[0-9]{12}:(user|role)/[^*]+$", arn))])
    error_message = "read_only_admins: expected ARNs of IAM users or roles (arn:aws:iam::<account>:role/<name>), without wildcards."
  }
}

variable "external_engines" {
  description = <<-TEXT
    What engines outside AWS may do (application integration), all off by default.
    filtering: they may ask for tables with column permissions and data filters, which they must enforce themselves.
    account_ids: the accounts that may do so; this account when empty.
    session_tags: accepted values of the session tag LakeFormationAuthorizedCaller.
    full_table_access: callers without the tag get credentials, for tables they may read whole.
  TEXT
  type = object({
    filtering         = optional(bool, false)
    account_ids       = optional(set(string), [])
    session_tags      = optional(list(string), [])
    full_table_access = optional(bool, false)
  })
  default = {}

  validation {
    condition     = alltrue([for id in var.external_engines.account_ids : can(regex("^[0-9]{12}$", id))]) && length(var.external_engines.account_ids) <= 30
    error_message = "external_engines.account_ids: expected up to 30 account ids of 12 digits."
  }
  validation {
    condition     = !var.external_engines.filtering || length(var.external_engines.session_tags) > 0
    error_message = "external_engines.session_tags: with filtering, name the tag values of engines that are trusted to filter; without any nobody gets in."
  }
  validation {
    condition     = var.external_engines.filtering || length(var.external_engines.session_tags) + length(var.external_engines.account_ids) == 0
    error_message = "external_engines: account_ids and session_tags do nothing without filtering = true."
  }
}

variable "cross_account_version" {
  description = "How grants to other accounts are shared (Lake Formation's CROSS_ACCOUNT_VERSION)."
  type        = number
  default     = 4

  validation {
    condition     = contains([1, 2, 3, 4, 5], var.cross_account_version)
    error_message = "cross_account_version: Lake Formation knows 1 to 5."
  }
}

variable "locations" {
  description = "Folders whose access Lake Formation decides, by a name of your choice: the bucket's ARN and the prefix. hybrid: principals that have not opted in keep their IAM rights."
  type = map(object({
    bucket_arn = string
    prefix     = string
    hybrid     = optional(bool, false)
  }))
  default = {}

  validation {
    condition     = alltrue([for location in values(var.locations) : can(regex("^arn:[a-z-]+:s3:::[a-z0-9.-]+$", location.bucket_arn))])
    error_message = "locations: bucket_arn is the ARN of a bucket (arn:aws:s3:::<bucket>)."
  }
  validation {
    condition     = alltrue([for location in values(var.locations) : can(regex("^[^*]+/$", location.prefix))])
    error_message = "locations: prefix is a folder that ends in a slash, such as tables/; raw files stay outside of Lake Formation."
  }
}

variable "data_key_arn" {
  description = "Key of the files in the locations."
  type        = string
}

variable "tags_of_tables" {
  description = "LF-tags and the values they may take. Lake Formation keeps them in lower case."
  type        = map(set(string))
  default     = {}

  validation {
    condition = alltrue([
      for key, values in var.tags_of_tables : key == lower(key) && length(key) <= 128 && length(values) > 0 && alltrue([for value in values : value == lower(value)])
    ])
    error_message = "tags_of_tables: keys and values are lower case (Lake Formation makes them so, and Terraform would see a change at every plan), and each key has a value."
  }
}

variable "database_tags" {
  description = "LF-tags of databases, which their tables and columns inherit: database → key → value."
  type        = map(map(string))
  default     = {}

  validation {
    condition = alltrue(flatten([
      for tags in values(var.database_tags) : [for key, value in tags : try(contains(var.tags_of_tables[key], value), false)]
    ]))
    error_message = "database_tags: every key and value must be in tags_of_tables."
  }
}

variable "database_grants" {
  description = "Permissions on databases, by a name of your choice."
  type = map(object({
    principal   = string
    database    = string
    permissions = set(string)
    grantable   = optional(set(string), [])
  }))
  default = {}

  validation {
    condition     = alltrue(flatten([for grant in values(var.database_grants) : [for permission in setunion(grant.permissions, grant.grantable) : contains(["ALTER", "CREATE_TABLE", "DESCRIBE", "DROP"], permission)]]))
    error_message = "database_grants: permissions on a database are ALTER, CREATE_TABLE, DESCRIBE and DROP; ALL is not taken, name what is needed."
  }
}

variable "table_grants" {
  description = "Permissions on tables, by a name of your choice: one table, or all of the database when table is null. columns or hidden_columns bind a SELECT to columns."
  type = map(object({
    principal      = string
    database       = string
    table          = optional(string)
    permissions    = set(string)
    grantable      = optional(set(string), [])
    columns        = optional(set(string))
    hidden_columns = optional(set(string))
  }))
  default = {}

  validation {
    condition     = alltrue(flatten([for grant in values(var.table_grants) : [for permission in setunion(grant.permissions, grant.grantable) : contains(["SELECT", "INSERT", "DELETE", "DESCRIBE", "ALTER", "DROP"], permission)]]))
    error_message = "table_grants: permissions on a table are SELECT, INSERT, DELETE, DESCRIBE, ALTER and DROP; ALL is not taken, name what is needed."
  }
  validation {
    condition = alltrue([
      for grant in values(var.table_grants) : (grant.columns == null && grant.hidden_columns == null) || (grant.table != null && grant.permissions == toset(["SELECT"]))
    ])
    error_message = "table_grants: columns and hidden_columns need a table, and SELECT as the only permission."
  }
  validation {
    condition     = alltrue([for grant in values(var.table_grants) : grant.columns == null || grant.hidden_columns == null])
    error_message = "table_grants: columns or hidden_columns, not both."
  }
  validation {
    condition     = alltrue([for grant in values(var.table_grants) : grant.hidden_columns == null || length(grant.grantable) == 0])
    error_message = "table_grants: Lake Formation lets nobody pass on a SELECT that hides columns; list columns instead."
  }
}

variable "tag_grants" {
  description = "Permissions by LF-tags, by a name of your choice: on all DATABASEs or TABLEs whose tags have, for each key, one of the values."
  type = map(object({
    principal   = string
    on          = string
    tags        = map(set(string))
    permissions = set(string)
  }))
  default = {}

  validation {
    condition     = alltrue([for grant in values(var.tag_grants) : contains(["DATABASE", "TABLE"], grant.on)])
    error_message = "tag_grants: on is DATABASE or TABLE."
  }
  validation {
    condition     = alltrue([for grant in values(var.tag_grants) : length(grant.tags) > 0])
    error_message = "tag_grants: name at least one tag."
  }
  validation {
    condition = alltrue(flatten([
      for grant in values(var.tag_grants) : [for key, values in grant.tags : length(values) > 0 && try(length(setsubtract(values, var.tags_of_tables[key])) == 0, false)]
    ]))
    error_message = "tag_grants: every key and value must be in tags_of_tables."
  }
  validation {
    condition     = alltrue(flatten([for grant in values(var.tag_grants) : [for permission in grant.permissions : contains(grant.on == "DATABASE" ? ["ALTER", "CREATE_TABLE", "DESCRIBE", "DROP"] : ["SELECT", "INSERT", "DELETE", "DESCRIBE", "ALTER", "DROP"], permission)]]))
    error_message = "tag_grants: permissions are ALTER, CREATE_TABLE, DESCRIBE, DROP on a DATABASE and SELECT, INSERT, DELETE, DESCRIBE, ALTER, DROP on a TABLE; ALL is not taken."
  }
}

variable "location_grants" {
  description = "Who may make tables in a location, by a name of your choice: principal, and the name of the location."
  type        = map(object({ principal = string, location = string }))
  default     = {}

  validation {
    condition     = alltrue([for grant in values(var.location_grants) : contains(keys(var.locations), grant.location)])
    error_message = "location_grants: every location must be in locations."
  }
}

variable "data_filters" {
  description = <<-TEXT
    Data-cell filters, by name: the rows (row_filter, all when null) and columns (columns, or all but hidden_columns)
    of a table that the principals, by a name of your choice, may read. The table must exist. row_filter is Lake Formation's subset of PartiQL:
    a column, an operator and a constant, joined by AND, OR and parentheses; no functions.
  TEXT
  type = map(object({
    database       = string
    table          = string
    row_filter     = optional(string)
    columns        = optional(set(string))
    hidden_columns = optional(list(string), [])
    principals     = map(string)
  }))
  default = {}

  validation {
    condition     = alltrue([for filter in values(var.data_filters) : filter.row_filter == null || (length(trimspace(coalesce(filter.row_filter, " "))) > 0 && length(coalesce(filter.row_filter, " ")) <= 2048)])
    error_message = "data_filters: row_filter has 1 to 2048 characters; leave it out for all rows."
  }
  validation {
    condition     = alltrue([for filter in values(var.data_filters) : !can(regex("[;]|--|(?i)\\bselect\\b|[a-z_]+\\s*\\(", replace(coalesce(filter.row_filter, " "), "/'[^']*'|(?i)\\b(and|or|not|in)\\s*\\(/", " ")))])
    error_message = "data_filters: row_filter compares columns with constants; Lake Formation takes no functions, subqueries or comments."
  }
  validation {
    condition     = alltrue([for filter in values(var.data_filters) : filter.columns == null || length(filter.hidden_columns) == 0])
    error_message = "data_filters: columns or hidden_columns, not both."
  }
  validation {
    condition     = alltrue([for filter in values(var.data_filters) : length(filter.principals) > 0])
    error_message = "data_filters: a filter without principals lets nobody read; name them."
  }
}

variable "path" {
  description = "IAM path of the role."
  type        = string
  default     = "/lakehouse/"
}

variable "permissions_boundary_arn" {
  description = "Policy that bounds the rights of the role; none when null."
  type        = string
  default     = null
}

variable "tags" {
  description = "Tags of every resource that takes tags."
  type        = map(string)
  default     = {}
}
