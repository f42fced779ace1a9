variable "name" {
  description = "Name of the lake; roles are <name>-engine, -ingestion, -maintenance and -reader."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,22}[a-z0-9]$", var.name))
    error_message = "name: expected 3 to 24 lower-case letters, digits or hyphens, a letter first and no hyphen last."
  }
}

variable "trusted" {
  description = <<-TEXT
    Who may take which role: engine, ingestion, maintenance, reader. A role nobody is named for is not made.
    principals: ARNs of IAM users or roles (or <account>:root for whom that account lets); external_id is asked of them.
    services: AWS services such as ecs-tasks.amazonaws.com.
    web_identity: an OpenID Connect provider and what its token must say, such as
    { "<issuer>:sub" = "system:serviceaccount:lake:engine", "<issuer>:aud" = "sts.amazonaws.com" }.
  TEXT
  type = map(object({
    principals  = optional(list(string), [])
    services    = optional(list(string), [])
    external_id = optional(string)
    web_identity = optional(object({
      provider_arn = string
      claims       = map(string)
    }))
  }))

  validation {
    condition     = alltrue([for role in keys(var.trusted) : contains(["engine", "ingestion", "maintenance", "reader"], role)])
    error_message = "trusted: the roles are engine, ingestion, maintenance and reader."
  }
  validation {
    condition     = alltrue([for who in values(var.trusted) : length(who.principals) + length(who.services) > 0 || who.web_identity != null])
    error_message = "trusted: name somebody for each role (principals, services or web_identity), or leave the role out."
  }
  validation {
    condition = alltrue(flatten([
      for who in values(var.trusted) : [for arn in who.principals : can(regex("^arn:[a-z-]+:(iam::[0-9]{12}:(root|(user|role)/[^*]+)|sts::[0-9]{12}:assumed-role/[^*]+)$", arn))]
    ]))
    error_message = "trusted: a principal is the ARN of one IAM user, role or account (arn:aws:iam::<account>:role/<name>); wildcards let strangers in."
  }
  validation {
    condition     = alltrue(flatten([for who in values(var.trusted) : [for service in who.services : can(regex("^[a-z0-9.-]+\\.amazonaws\\.com(\\.cn)?$", service))]]))
    error_message = "trusted: a service is written like ecs-tasks.amazonaws.com."
  }
  validation {
    condition     = alltrue([for who in values(var.trusted) : who.web_identity == null || anytrue([for claim, value in try(who.web_identity.claims, {}) : endswith(claim, ":sub") && !strcontains(value, "*")])])
    error_message = "trusted: web_identity.claims must fix the subject (\"<issuer>:sub\"), or every token of the provider is let in."
  }
}

variable "layers" {
  description = "Buckets and prefixes of tables and raw files by layer: the output layers of the module warehouse."
  type = map(object({
    arn            = string
    table_prefix   = string
    landing_prefix = optional(string)
  }))

  validation {
    condition     = alltrue([for layer in values(var.layers) : length(layer.table_prefix) > 0 && endswith(layer.table_prefix, "/")])
    error_message = "layers: table_prefix is a folder that ends in a slash; rights on a whole bucket are not given."
  }
}

variable "databases" {
  description = "Names of the Glue databases by layer."
  type        = map(set(string))

  validation {
    condition     = alltrue([for layer in keys(var.databases) : contains(keys(var.layers), layer)])
    error_message = "databases: every layer named here must be in layers."
  }
  validation {
    condition     = alltrue([for name in flatten([for names in values(var.databases) : tolist(names)]) : can(regex("^[a-z0-9_]+$", name))])
    error_message = "databases: expected names of databases in lower case; wildcards would reach databases of others."
  }
}

variable "ingestion_layers" {
  description = "Layers that the role ingestion may read and write."
  type        = set(string)
  default     = ["bronze"]

  validation {
    condition     = alltrue([for layer in var.ingestion_layers : contains(keys(var.layers), layer)])
    error_message = "ingestion_layers: every layer named here must be in layers."
  }
}

variable "reader_layers" {
  description = "Layers that the role reader may read."
  type        = set(string)
  default     = ["silver", "gold"]

  validation {
    condition     = alltrue([for layer in var.reader_layers : contains(keys(var.layers), layer)])
    error_message = "reader_layers: every layer named here must be in layers."
  }
}

variable "data_key_arn" {
  description = "Key of tables and raw files."
  type        = string
}

variable "catalog_key_arn" {
  description = "Key of the Glue catalog; null when the catalog is not encrypted with a key of ours."
  type        = string
  default     = null
}

variable "lake_formation" {
  description = <<-TEXT
    With Lake Formation, roles may ask it for credentials. session_tag: the value of the session tag
    LakeFormationAuthorizedCaller that those who take the role may set. readers_by_credentials: readers have no
    rights on S3 of their own and read only what Lake Formation gives them, since rights of their own would go
    around every column permission and data filter.
  TEXT
  type = object({
    session_tag            = optional(string)
    readers_by_credentials = optional(bool, true)
  })
  default = null

  validation {
    condition     = var.lake_formation == null || try(var.lake_formation.session_tag, null) == null || can(regex("^[A-Za-z0-9_.:/=+@-]{1,256}$", var.lake_formation.session_tag))
    error_message = "lake_formation.session_tag: expected 1 to 256 letters, digits or _.:/=+@-, and no wildcard."
  }
}

variable "athena" {
  description = "Lets readers query through a workgroup: its ARN, the bucket and prefix of results, and their key; null for none."
  type = object({
    workgroup_arn      = string
    results_bucket_arn = string
    results_prefix     = string
    results_key_arn    = string
  })
  default = null

  validation {
    condition     = var.athena == null || can(regex("^[^*]+/$", var.athena.results_prefix))
    error_message = "athena.results_prefix: expected a folder that ends in a slash, such as athena/."
  }
}

variable "max_session_seconds" {
  description = "The longest a taken role may last before it is taken again."
  type        = number
  default     = 3600

  validation {
    condition     = var.max_session_seconds >= 3600 && var.max_session_seconds <= 43200
    error_message = "max_session_seconds: IAM takes 3600 (1 hour) to 43200 (12 hours)."
  }
}

variable "permissions_boundary_arn" {
  description = "Policy that bounds the rights of every role; none when null."
  type        = string
  default     = null
}

variable "path" {
  description = "IAM path of the roles."
  type        = string
  default     = "/lakehouse/"

  validation {
    condition     = can(regex("^/([A-Za-z0-9_.-]+/)*$", var.path))
    error_message = "path: expected slashes at both ends, such as /lakehouse/."
  }
}

variable "tags" {
  description = "Tags of every resource that takes tags."
  type        = map(string)
  default     = {}
}
