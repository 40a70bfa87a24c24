# frozen_string_literal: true

# @summary The configuration as TOML: tables first, then arrays of tables, each in the order of the hash.
Puppet::Functions.create_function(:'vipd::to_toml') do
  # @param configuration What to write.
  # @return [String] The text of the file.
  # @example
  #   vipd::to_toml({ 'cluster' => { 'name' => 'ingress' }, 'node' => [{ 'name' => 'n1' }] })
  dispatch :to_toml do
    param 'Vipd::Configuration', :configuration
    return_type 'String'
  end

  def to_toml(configuration)
    tables, arrays = configuration.partition { |_, value| value.is_a?(Hash) }
    parts = tables.map { |name, table| table("[#{name}]", table) }
    parts += arrays.flat_map { |name, entries| entries.map { |entry| table("[[#{name}]]", entry) } }
    "# Managed by Puppet: changes are overwritten.\n\n" + parts.join("\n")
  end

  def table(heading, table)
    lines = table.map { |key, value| "#{key(key)} = #{value(value)}\n" }
    "#{heading}\n#{lines.join}"
  end

  # What is nested is written in line, on one line.
  def value(value)
    case value
    when String then string(value)
    when Array then "[#{value.map { |item| value(item) }.join(', ')}]"
    when Hash then "{ #{value.map { |key, item| "#{key(key)} = #{value(item)}" }.join(', ')} }"
    else value.to_s
    end
  end

  def key(name)
    name.match?(/\A[A-Za-z0-9_-]+\z/) ? name : string(name)
  end

  # A basic string: quotation mark, backslash and control characters escaped.
  def string(text)
    escaped = text.gsub(/[\\"]/) { |mark| "\\#{mark}" }
    escaped = escaped.gsub(/[\u0000-\u001f\u007f]/) { |control| format('\\u%04x', control.ord) }
    "\"#{escaped}\""
  end
end
