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

variable "force_destroy" {
  description = "Let destroy delete buckets that hold objects. For trials only."
  type        = bool
  default     = false
}
